//! A process whose wall clock is wrong, and follows ours when it is set: a small C library, preloaded into it. Java too
//! reads the time through it (tried with OpenJDK 17), so a broker can stand at midnight, and its records with it.
//!
//! ```text
//! let clock = FakeClock::create(&dir, Shift::to_midnight(Utc::now(), Duration::from_secs(30)))?;
//! command.env(library::VARIABLE, clock.library());   // all brokers of a cluster share one clock
//! clock.set(Shift::NONE)?;                           // running processes follow at once
//! ```
//!
//! libfaketime does the same and takes a lock for every look at any clock: a broker's start took five times the CPU, and
//! longer than the stack waits for it.
//!
//! Limits: timers and waits by the monotonic clock stay right. Of the waits until a moment of the wall clock only
//! `pthread_cond_timedwait` (Java's `LockSupport.parkUntil`) and `cnd_timedwait` (librdkafka's waits) know the shift.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Days, NaiveTime, Utc};

use super::library::Library;

const CLOCK_C: &str = include_str!("shim/clock.c");
/// Beside the triggers of the library.
const SHIFT_FILE: &str = "clock";

/// How far ahead of the true one a clock goes; behind where negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    seconds: i64,
}

impl Shift {
    pub const NONE: Self = Self { seconds: 0 };

    pub fn ahead(by: Duration) -> Self {
        Self { seconds: by.as_secs().cast_signed() }
    }

    pub fn behind(by: Duration) -> Self {
        Self { seconds: -by.as_secs().cast_signed() }
    }

    /// At `now` the shifted clock is so long before midnight, in UTC: at least `left`, less than a second more.
    pub fn to_midnight(now: DateTime<Utc>, left: Duration) -> Self {
        let midnight = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc();
        let until = (midnight - now).num_seconds();
        Self { seconds: until - left.as_secs().cast_signed() }
    }

    pub fn apply(self, time: DateTime<Utc>) -> DateTime<Utc> {
        time + chrono::Duration::seconds(self.seconds)
    }
}

/// A clock that processes share, and that can be set while they run.
#[derive(Debug, Clone)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// Builds the library into `dir`, which is the clock's own.
    pub fn create(dir: &Path, shift: Shift) -> Result<Self> {
        let Library { path: library, triggers } =
            Library::build(dir, "chaos-clock", &[("clock.c", CLOCK_C)])?;
        let clock = Self { library, file: triggers.join(SHIFT_FILE) };
        fs::write(&clock.file, shift.seconds.to_ne_bytes())?;
        Ok(clock)
    }

    /// To be preloaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// In place, because processes have the file mapped.
    pub fn set(&self, shift: Shift) -> Result<()> {
        let file = OpenOptions::new().write(true).open(&self.file).context("the clock's file")?;
        file.write_all_at(&shift.seconds.to_ne_bytes(), 0).context("set the clock")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn midnight_comes_when_it_is_said() {
        let now: DateTime<Utc> = "2026-03-04T12:30:15.400Z".parse().expect("a time");
        let shifted = Shift::to_midnight(now, Duration::from_secs(20)).apply(now);
        let midnight: DateTime<Utc> = "2026-03-05T00:00:00Z".parse().expect("a time");
        let left = midnight - shifted;
        assert!(left >= chrono::Duration::seconds(20) && left < chrono::Duration::seconds(21), "{left}");
        let late: DateTime<Utc> = "2026-03-04T23:59:59.900Z".parse().expect("a time");
        assert!(Shift::to_midnight(late, Duration::from_secs(20)).apply(late) < late, "back from midnight");
    }

    #[test]
    fn a_process_has_the_clock_that_is_set_also_while_it_runs() {
        let dir = std::env::temp_dir().join(format!("sealtrail-clock-{}", std::process::id()));
        let day = Duration::from_secs(86_400);
        let clock = FakeClock::create(&dir, Shift::ahead(day)).expect("cc builds it");
        // says its time, waits for a line, and says it again
        let script = "$| = 1; print time, \"\\n\"; <STDIN>; print time, \"\\n\"";
        let mut child = Command::new("perl")
            .args(["-e", script])
            .env(crate::tools::library::VARIABLE, clock.library())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut off_by = || {
            let time: i64 = lines.next().expect("a line").expect("text").parse().expect("seconds");
            time - Utc::now().timestamp()
        };
        assert!((off_by() - 86_400).abs() <= 2);
        clock.set(Shift::behind(day)).expect("set");
        child.stdin.take().expect("piped").write_all(b"\n").expect("it reads");
        assert!((off_by() + 86_400).abs() <= 2);
        assert!(child.wait().expect("it ends").success());
        fs::remove_dir_all(dir).expect("removed");
    }

    /// Waits a second in each of the ways that a process may.
    const WAITS: &str = r#"
        #include <pthread.h>
        #include <threads.h>
        #include <time.h>
        static struct timespec in_half_a_second(void) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += 500000000;
            if (until.tv_nsec >= 1000000000) { until.tv_nsec -= 1000000000; until.tv_sec += 1; }
            return until;
        }
        int main(void) {
            pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
            pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
            struct timespec until = in_half_a_second();
            pthread_mutex_lock(&mutex);
            if (pthread_cond_timedwait(&condition, &mutex, &until) == 0) return 1;
            mtx_t other_mutex;
            cnd_t other_condition;
            if (mtx_init(&other_mutex, mtx_plain) != thrd_success) return 2;
            if (cnd_init(&other_condition) != thrd_success) return 3;
            until = in_half_a_second();
            mtx_lock(&other_mutex);
            return cnd_timedwait(&other_condition, &other_mutex, &until) != thrd_timedout;
        }"#;

    #[test]
    fn a_wait_until_a_moment_is_as_long_as_it_was_meant_to_be() {
        let dir = std::env::temp_dir().join(format!("sealtrail-waits-{}", std::process::id()));
        let clock = FakeClock::create(&dir, Shift::NONE).expect("cc builds it");
        let (source, program) = (dir.join("waits.c"), dir.join("waits"));
        fs::write(&source, WAITS).expect("written");
        let built = Command::new("cc").arg("-o").arg(&program).arg(source).arg("-pthread").status();
        assert!(built.expect("cc").success());
        for shift in [Shift::ahead(Duration::from_secs(3_600)), Shift::behind(Duration::from_secs(3_600))] {
            clock.set(shift).expect("set");
            let began = std::time::Instant::now();
            let mut command = Command::new("timeout");
            command.arg("10").arg(&program).env(crate::tools::library::VARIABLE, clock.library());
            assert!(command.status().expect("it runs").success(), "{shift:?}");
            assert!(began.elapsed() >= Duration::from_millis(900), "{shift:?}: {:?}", began.elapsed());
        }
        fs::remove_dir_all(dir).expect("removed");
    }
}

//! A file in MaxMind's format (<https://maxmind.github.io/MaxMind-DB/>): read whole, checked whole, then asked. It is
//! not mapped into memory: a file that is cut short under a mapping would end the process.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use thiserror::Error;

use super::record::{AsnRecord, CityRecord};
use super::{Geo, Kind, LookupFault};

/// Records that are read at loading, to see whether the file is of the right kind.
const PROBED_RECORDS: usize = 1_000;

#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{path} cannot be read: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("{0} is no file")]
    NoFile(PathBuf),
    #[error("{path} has {bytes} bytes, enrich.max_geoip_file_bytes allows {max_bytes}")]
    TooLarge { path: PathBuf, bytes: u64, max_bytes: u64 },
    #[error("{0} changed while it was read; write it elsewhere and move it into place")]
    Changed(PathBuf),
    #[error("{path} is no sound file of MaxMind's format: {cause}")]
    Format { path: PathBuf, cause: MaxMindDbError },
    #[error("{path} ({database_type}) does not hold what {setting} is for")]
    OtherContents { path: PathBuf, database_type: String, setting: &'static str },
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    pub fn of(path: &Path) -> Result<Self, LoadError> {
        let io = |cause| LoadError::Io { path: path.to_owned(), cause };
        let metadata = fs::metadata(path).map_err(io)?;
        // a pipe would never end
        if !metadata.is_file() {
            return Err(LoadError::NoFile(path.to_owned()));
        }
        Ok(Self::from(&metadata))
    }
}

impl From<&Metadata> for Signature {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A loaded file.
pub struct Database {
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Reads and checks a whole file; this takes a second for 100 MB or so.
    pub fn load(path: &Path, kind: Kind, max_bytes: u64) -> Result<(Self, Signature), LoadError> {
        let (bytes, signature) = read(path, max_bytes)?;
        let format = |cause| LoadError::Format { path: path.to_owned(), cause };
        let reader = Reader::from_source(bytes).map_err(format)?;
        reader.verify().map_err(format)?;
        let database = Self { reader };
        if !database.is_of(kind).map_err(format)? {
            let database_type = database.kind_of_file().to_owned();
            return Err(LoadError::OtherContents {
                path: path.to_owned(),
                database_type,
                setting: kind.setting(),
            });
        }
        Ok((database, signature))
    }

    /// As its maker calls it, such as `GeoLite2-City`.
    pub fn kind_of_file(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built, in seconds since 1970.
    pub fn built_s(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// Whether one of the first records says what a file of this kind is asked for.
    fn is_of(&self, kind: Kind) -> Result<bool, MaxMindDbError> {
        for found in self.reader.networks(WithinOptions::default())?.take(PROBED_RECORDS) {
            let found = found?;
            let mut geo = Geo::default();
            decode(&found, kind, &mut geo)?;
            if geo != Geo::default() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what the file knows of the address.
    pub fn fill(&self, kind: Kind, address: IpAddr, geo: &mut Geo) -> Result<(), LookupFault> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(());
        }
        let found = self.reader.lookup(address).and_then(|found| decode(&found, kind, geo));
        found.map_err(|error| LookupFault::Unreadable { file: kind.setting(), cause: error.to_string() })
    }
}

fn decode(
    found: &maxminddb::LookupResult<'_, Vec<u8>>,
    kind: Kind,
    geo: &mut Geo,
) -> Result<(), MaxMindDbError> {
    match kind {
        Kind::City => found.decode::<CityRecord<'_>>()?.unwrap_or_default().fill(geo),
        Kind::Asn => found.decode::<AsnRecord<'_>>()?.unwrap_or_default().fill(geo),
    }
    Ok(())
}

/// The file's bytes, if it was the same file before and after.
fn read(path: &Path, max_bytes: u64) -> Result<(Vec<u8>, Signature), LoadError> {
    let io = |cause| LoadError::Io { path: path.to_owned(), cause };
    let before = Signature::of(path)?;
    if before.bytes > max_bytes {
        return Err(LoadError::TooLarge { path: path.to_owned(), bytes: before.bytes, max_bytes });
    }
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::with_capacity(usize::try_from(before.bytes).unwrap_or_default());
    (&mut file).take(before.bytes).read_to_end(&mut bytes).map_err(io)?;
    let after = Signature::from(&file.metadata().map_err(io)?);
    if before != after || bytes.len() as u64 != before.bytes {
        return Err(LoadError::Changed(path.to_owned()));
    }
    Ok((bytes, after))
}

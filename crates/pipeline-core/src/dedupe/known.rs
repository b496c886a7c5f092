//! What a segment knows of judged records without a look-up. Restored records are not known.

use audit_event::RecordTime;

use super::keys::BodyHash;

/// By the places of the segment's fingerprints. Identities are kept until the rows can be looked up, bodies longer: a client
/// that repeats what it sent a moment ago then costs no look-up.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// 0 where unknown.
    bodies: Box<[u64]>,
    other_halves: Box<[u64]>,
    /// [`UNKNOWN_TIME`] where the identity is unknown.
    times: Box<[i64]>,
}

const UNKNOWN_TIME: i64 = i64::MIN;

/// Who a record is beside its fingerprint, and when it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) other_half: u64,
    pub(super) received_at: RecordTime,
}

impl Known {
    /// Notes a record in a segment of so many places.
    pub(super) fn note(&mut self, place: usize, places: usize, identity: Identity, body: BodyHash) {
        if self.bodies.is_empty() {
            self.bodies = vec![0; places].into_boxed_slice();
        }
        if self.times.is_empty() {
            self.other_halves = vec![0; places].into_boxed_slice();
            self.times = vec![UNKNOWN_TIME; places].into_boxed_slice();
        }
        self.bodies[place] = body.bits();
        self.other_halves[place] = identity.other_half;
        self.times[place] = identity.received_at.0;
    }

    pub(super) fn body(&self, place: usize) -> Option<BodyHash> {
        self.bodies.get(place).copied().and_then(BodyHash::from_bits)
    }

    pub(super) fn identity(&self, place: usize) -> Option<Identity> {
        let received_at = self.times.get(place).copied().filter(|time| *time != UNKNOWN_TIME)?;
        Some(Identity { other_half: self.other_halves[place], received_at: RecordTime(received_at) })
    }

    /// Keeps these places only, in this order.
    pub(super) fn keep(&mut self, places: &[u16]) {
        keep(&mut self.bodies, places);
        keep(&mut self.other_halves, places);
        keep(&mut self.times, places);
    }

    pub(super) fn forget_identities(&mut self) {
        (self.other_halves, self.times) = Default::default();
    }

    pub(super) fn forget_bodies(&mut self) {
        self.bodies = Default::default();
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[u64]>(&self.bodies)
            + size_of_val::<[u64]>(&self.other_halves)
            + size_of_val::<[i64]>(&self.times)
    }
}

fn keep<T: Copy>(column: &mut Box<[T]>, places: &[u16]) {
    if !column.is_empty() {
        *column = places.iter().map(|place| column[usize::from(*place)]).collect();
    }
}

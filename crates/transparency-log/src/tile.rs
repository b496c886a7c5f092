//! Tiles: the tree as files of up to 256 hashes. Source: <https://c2sp.org/tlog-tiles>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::Hash;

/// Hashes in a full tile.
pub const TILE_WIDTH: u32 = 256;
/// The height of a tile's tree: 2^8 hashes.
pub(crate) const TILE_HEIGHT: u8 = 8;
/// Bytes of a hash.
pub(crate) const HASH_BYTES: usize = 32;
/// The largest tree: far more records than a partition can hold, and few enough that no level's arithmetic overflows.
pub const MAX_TREE_SIZE: u64 = 1 << 48;
const MAX_LEVEL: u8 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no tile: tile/<level>/<number>, each three digits an element such as x001/x234/067, and .p/<width> if partial"
)]
pub struct TileNameError(pub String);

/// A tile by its place. Ordered by level, then number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    level: u8,
    number: u64,
    /// 1 to 256.
    width: u32,
}

impl Tile {
    /// `None` if no tree has such a tile.
    pub fn new(level: u8, number: u64, width: u32) -> Option<Self> {
        let fits = level <= MAX_LEVEL && number < MAX_TREE_SIZE >> (u32::from(level) * 8);
        (fits && (1..=TILE_WIDTH).contains(&width)).then_some(Self { level, number, width })
    }

    pub fn level(self) -> u8 {
        self.level
    }

    pub fn number(self) -> u64 {
        self.number
    }

    /// Hashes in it.
    pub fn width(self) -> u32 {
        self.width
    }

    pub fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The full tile in the same place.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// What its file holds.
    pub fn len_bytes(self) -> usize {
        self.width as usize * HASH_BYTES
    }

    /// The tiles that hold a tree of this size, none twice, by level and number.
    pub fn all_of(size: u64) -> impl Iterator<Item = Self> {
        (0..=MAX_LEVEL).flat_map(move |level| {
            let hashes = size >> (u32::from(level) * 8);
            let width = u64::from(TILE_WIDTH);
            (0..hashes.div_ceil(width)).filter_map(move |number| {
                let left = (hashes - number * width).min(width);
                Self::new(level, number, u32::try_from(left).ok()?)
            })
        })
    }

    /// Those at the right edge of a tree of this size, which say what its root is.
    pub fn edge_of(size: u64) -> impl Iterator<Item = Self> {
        (0..=MAX_LEVEL).filter_map(move |level| {
            let hashes = size >> (u32::from(level) * 8);
            let width = u32::try_from(hashes % u64::from(TILE_WIDTH)).ok()?;
            Self::new(level, hashes / u64::from(TILE_WIDTH), width)
        })
    }

    pub(crate) fn of_library(tile: &tlog_tiles::Tile) -> Option<Self> {
        Self::new(tile.level(), tile.level_index(), tile.width())
    }
}

/// The path below a log's prefix.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let elements = [1_000_000_000_000, 1_000_000_000, 1_000_000, 1_000];
        for unit in elements.into_iter().filter(|unit| self.number >= *unit) {
            write!(f, "x{:03}/", self.number / unit % 1_000)?;
        }
        write!(f, "{:03}", self.number % 1_000)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Tile {
    type Err = TileNameError;

    fn from_str(path: &str) -> Result<Self, TileNameError> {
        // one name for each tile: what is read must be what is written
        parse(path).filter(|tile| tile.to_string() == path).ok_or_else(|| TileNameError(path.to_owned()))
    }
}

fn parse(path: &str) -> Option<Tile> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let mut sum: u64 = 0;
    for element in number.split('/') {
        let digits = element.strip_prefix('x').unwrap_or(element);
        sum = sum.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Tile::new(level.parse().ok()?, sum, width)
}

/// The hashes of a tile's bytes; `None` if they are not so many.
pub fn hashes_of(tile: Tile, bytes: &[u8]) -> Option<Vec<Hash>> {
    (bytes.len() == tile.len_bytes()).then(|| {
        bytes.chunks_exact(HASH_BYTES).map(|chunk| Hash(chunk.try_into().unwrap_or_default())).collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tile(level: u8, number: u64, width: u32) -> Tile {
        Tile::new(level, number, width).expect("a tile")
    }

    /// The examples of the specification.
    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!(tile(0, 1_234_067, 256).to_string(), "tile/0/x001/x234/067");
        assert_eq!(tile(3, 5, 7).to_string(), "tile/3/005.p/7");
        let edge: Vec<String> = Tile::edge_of(70_000).map(|tile| tile.to_string()).collect();
        assert_eq!(edge, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        assert_eq!(Tile::all_of(70_000).count(), 273 + 1 + 1 + 1 + 1);
        assert_eq!(
            Tile::all_of(256).map(|tile| tile.to_string()).collect::<Vec<_>>(),
            ["tile/0/000", "tile/1/000.p/1"]
        );
        assert_eq!(Tile::all_of(0).count() + Tile::edge_of(0).count(), 0);
    }

    #[test]
    fn only_the_one_name_of_a_tile_is_read() {
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/1",
            "tile/00/001",
            "tile/0/001/",
            "tile/0/x001",
            "tile/0/0001",
            "tile/0/x000/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001.p/",
            "tile/6/000",
            "tile/0/../001",
            "tile/-1/001",
            "tile/0/+01",
            "tile/8/0/001",
            "tile/0/x281/x474/x976/x710/656",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/entries/000",
        ] {
            assert!(bad.parse::<Tile>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_tile_is_found_by_its_name(level in 0..=MAX_LEVEL, number in any::<u64>(), width in 1..=TILE_WIDTH) {
            let number = number % (MAX_TREE_SIZE >> (u32::from(level) * 8));
            let tile = tile(level, number, width);
            prop_assert_eq!(tile.to_string().parse(), Ok(tile));
        }

        #[test]
        fn no_text_is_two_tiles(text in "tile/[0-9]{1,2}/(x?[0-9]{1,4}/){0,3}[0-9]{1,4}(\\.p/[0-9]{1,4})?") {
            if let Ok(tile) = text.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), text);
            }
        }
    }
}

//! Which versions a question is about.

use std::str::FromStr;

use super::error::RegistryError;

/// By whether they are soft-deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Live,
    Deleted,
    All,
}

impl Which {
    pub fn takes(self, deleted: bool) -> bool {
        match self {
            Self::Live => !deleted,
            Self::Deleted => deleted,
            Self::All => true,
        }
    }
}

/// A version as clients name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionSpec {
    Latest,
    Number(u32),
}

impl FromStr for VersionSpec {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if matches!(text, "latest" | "-1") {
            return Ok(Self::Latest);
        }
        match text.parse::<i32>() {
            Ok(number) if number > 0 => Ok(Self::Number(number.unsigned_abs())),
            _ => Err(RegistryError::InvalidVersion(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_by_number_or_latest() {
        assert_eq!("-1".parse::<VersionSpec>().ok(), Some(VersionSpec::Latest));
        assert_eq!("latest".parse::<VersionSpec>().ok(), Some(VersionSpec::Latest));
        assert_eq!("3".parse::<VersionSpec>().ok(), Some(VersionSpec::Number(3)));
        for wrong in ["0", "-2", "x", "", "4294967296"] {
            assert!(wrong.parse::<VersionSpec>().is_err(), "{wrong}");
        }
    }
}

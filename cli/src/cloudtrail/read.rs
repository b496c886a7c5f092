//! CloudTrail files: as AWS delivers them (`{"Records": […]}`, gzip or plain), a bare array, or one record per line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

/// Bound on one file after decompression: a small gzip file can unfold into more than a machine has memory for.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file gave no records.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Opening, reading or decompressing failed.
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// More than [`MAX_FILE_BYTES`] after decompression.
    #[error("{} holds more than {limit} bytes when decompressed", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// Not JSON; the cause names line and column.
    #[error("{} is not valid JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    /// JSON, but a number or a text where records are expected.
    #[error("{} holds no CloudTrail records: JSON value {position} is neither an object nor an array", path.display())]
    NotRecords { path: PathBuf, position: usize },
    /// No JSON value at all: an empty file is more likely a broken copy than a quiet hour, which is `{"Records": []}`.
    #[error("{} is empty", path.display())]
    Empty { path: PathBuf },
}

/// All records of one file, in the file's order. Whether each is a sound record is for `map_record` to say.
pub fn read_file(path: &Path) -> Result<Vec<Value>, ReadError> {
    let bytes = read_bytes(path, MAX_FILE_BYTES)?;
    parse(path, &bytes)
}

fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut input = BufReader::new(File::open(path).map_err(io)?);
    // By content, not by name: downloads are often decompressed on the way and keep their ".gz".
    let is_gzip = input.fill_buf().map_err(io)?.starts_with(&GZIP_MAGIC);
    let mut bytes = Vec::new();
    let read = if is_gzip {
        MultiGzDecoder::new(input).take(limit.saturating_add(1)).read_to_end(&mut bytes)
    } else {
        input.take(limit.saturating_add(1)).read_to_end(&mut bytes)
    };
    let length = read.map_err(io)?;
    if u64::try_from(length).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(ReadError::TooLarge { path: path.to_owned(), limit })
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Value>, ReadError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut records = Vec::new();
    let mut values = 0_usize;
    // One loop for every layout: each JSON value in the file is a wrapper, an array or a record.
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        values += 1;
        match value.map_err(|source| ReadError::Json { path: path.to_owned(), source })? {
            Value::Array(list) => records.extend(list),
            Value::Object(mut object) => match object.remove("Records") {
                Some(Value::Array(list)) => records.extend(list),
                Some(other) => {
                    object.insert("Records".to_owned(), other);
                    records.push(Value::Object(object));
                }
                None => records.push(Value::Object(object)),
            },
            _ => return Err(ReadError::NotRecords { path: path.to_owned(), position: values }),
        }
    }
    if values == 0 {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<Value>, ReadError> {
        parse(Path::new("sample.json"), text.as_bytes())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A file that is gone when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("sealtrail-{}-{name}", uuid::Uuid::new_v4()));
            std::fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn every_layout_gives_the_same_records() {
        let expected = vec![json!({"eventID": "a"}), json!({"eventID": "b"})];
        for layout in [
            r#"{"Records":[{"eventID":"a"},{"eventID":"b"}]}"#,
            r#"[{"eventID":"a"},{"eventID":"b"}]"#,
            "{\"eventID\":\"a\"}\n{\"eventID\":\"b\"}\n",
            "{\"Records\":[{\"eventID\":\"a\"}]}\r\n{\"Records\":[{\"eventID\":\"b\"}]}",
            "\u{feff}[{\"eventID\":\"a\"},{\"eventID\":\"b\"}]",
        ] {
            assert_eq!(parsed(layout).unwrap(), expected, "{layout}");
        }
        assert!(parsed(r#"{"Records":[]}"#).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_record_is_named() {
        assert!(matches!(parsed("").unwrap_err(), ReadError::Empty { .. }));
        assert!(matches!(parsed(" \n").unwrap_err(), ReadError::Empty { .. }));
        let error = parsed("{\"eventID\":\"a\"}\n17").unwrap_err();
        assert!(matches!(error, ReadError::NotRecords { .. }));
        assert!(error.to_string().contains("JSON value 2"), "{error}");
        let error = parsed("{\"eventID\":\"a\"}\n{\"eventID\":").unwrap_err();
        assert!(matches!(error, ReadError::Json { .. }));
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn gzip_is_known_by_its_content() {
        let body = br#"{"Records":[{"eventID":"a"}]}"#;
        // Two members one after the other are one gzip file.
        let mut two = gzip(body);
        two.extend(gzip(br#"[{"eventID":"b"}]"#));
        let plain = Scratch::new("plain.json.gz", body);
        let packed = Scratch::new("packed.json", &gzip(body));
        let members = Scratch::new("members.gz", &two);
        assert_eq!(read_file(&plain.0).unwrap().len(), 1);
        assert_eq!(read_file(&packed.0).unwrap().len(), 1);
        assert_eq!(read_file(&members.0).unwrap().len(), 2);
    }

    #[test]
    fn a_cut_gzip_file_is_an_error() {
        let whole = gzip(br#"{"Records":[{"eventID":"a"}]}"#);
        let cut = Scratch::new("cut.gz", &whole[..whole.len() - 6]);
        assert!(matches!(read_file(&cut.0).unwrap_err(), ReadError::Io { .. }));
        assert!(matches!(read_file(Path::new("no/such/file.json")).unwrap_err(), ReadError::Io { .. }));
    }

    #[test]
    fn decompression_stops_at_the_bound() {
        let bomb = Scratch::new("bomb.gz", &gzip(&vec![b' '; 100_000]));
        assert!(matches!(read_bytes(&bomb.0, 99_999).unwrap_err(), ReadError::TooLarge { .. }));
        assert_eq!(read_bytes(&bomb.0, 100_000).unwrap().len(), 100_000);
    }
}

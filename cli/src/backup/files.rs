//! The files of a backup: zstd frames that only their owner reads, with the SHA-256 of what stands on the disk.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

const OWNER_ONLY: u32 = 0o600;
const LEVEL: i32 = 3;
const READ_BYTES: usize = 1024 * 1024;

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub bytes: u64,
    /// In lower-case hex.
    pub sha256: String,
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that is being written.
pub struct Writer {
    encoder: zstd::Encoder<'static, Hashing<BufWriter<File>>>,
}

impl Writer {
    pub fn create(path: &Path) -> io::Result<Self> {
        let inner = BufWriter::new(create(path)?);
        let encoder = zstd::Encoder::new(Hashing { inner, hash: Sha256::new(), bytes: 0 }, LEVEL)?;
        Ok(Self { encoder })
    }

    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.encoder.write_all(data)
    }

    /// How much stands on the disk so far.
    pub fn bytes(&self) -> u64 {
        self.encoder.get_ref().bytes
    }

    /// Ends the frame and waits until the disk has it.
    pub fn finish(self) -> io::Result<Sealed> {
        let Hashing { inner, hash, bytes } = self.encoder.finish()?;
        inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(Sealed { bytes, sha256: hex(&hash.finalize()) })
    }
}

/// Writes a small file whole, and waits until the disk has it.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn create(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)
}

/// What stands on the disk now.
pub fn measure(path: &Path) -> io::Result<Sealed> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Sealed { bytes, sha256: hex(&hash.finalize()) });
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Reads a file's content again, piece by piece.
pub struct Reader {
    decoder: zstd::Decoder<'static, BufReader<File>>,
}

impl Reader {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { decoder: zstd::Decoder::new(File::open(path)?)? })
    }

    /// `None` at the end.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(READ_BYTES);
        self.decoder.by_ref().take(READ_BYTES as u64).read_to_end(&mut piece)?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_a_changed_byte_shows() {
        let path = std::env::temp_dir().join(format!("sealtrail-files-{}", std::process::id()));
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut writer = Writer::create(&path).expect("creates");
        content.chunks(70_001).for_each(|piece| writer.write(piece).expect("writes"));
        let sealed = writer.finish().expect("finishes");
        assert_eq!(measure(&path).expect("reads"), sealed);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, OWNER_ONLY);
        let mut reader = Reader::open(&path).expect("opens");
        let mut again = Vec::new();
        while let Some(piece) = reader.piece().expect("reads") {
            assert!(piece.len() <= READ_BYTES, "never whole in memory");
            again.extend(piece);
        }
        assert!(again == content);
        let mut raw = fs::read(&path).expect("reads");
        raw[100] ^= 1;
        fs::write(&path, raw).expect("writes");
        assert_ne!(measure(&path).expect("reads").sha256, sealed.sha256);
        assert!(Writer::create(&path).is_err(), "nothing is written over");
        fs::remove_file(&path).expect("removes");
    }
}

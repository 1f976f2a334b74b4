//! Files that one thread appends to while others read at places, and their directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::Path;

/// Make a directory, and those above it, for this user alone where rights are told in its mode.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Options of a file that is made for this user alone where rights are told in its mode; elsewhere
/// it has those of its directory.
pub fn private() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Read all of `data` from a place. Where this moves the file's cursor, `append` does not need it.
pub fn read_exact_at(file: &File, data: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, data, offset);
    #[cfg(windows)]
    {
        let mut read = 0;
        while read < data.len() {
            let at = offset + read as u64;
            match std::os::windows::fs::FileExt::seek_read(file, &mut data[read..], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Write some of the slices at `end`, where the file ends and, on Unix, its cursor is; return how
/// many bytes.
pub fn append(file: &File, slices: &[IoSlice<'_>], end: u64) -> io::Result<usize> {
    #[cfg(unix)]
    {
        let _ = end;
        let mut file = file;
        io::Write::write_vectored(&mut file, slices)
    }
    #[cfg(windows)]
    {
        let first = slices.iter().find(|slice| !slice.is_empty());
        first.map_or(Ok(0), |slice| std::os::windows::fs::FileExt::seek_write(file, slice, end))
    }
}

/// Force onto the disk which files a directory has. Windows has no such thing to ask for.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

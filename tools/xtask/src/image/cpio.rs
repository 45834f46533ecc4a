//! The cpio "newc" archive that the direct boot stub reads (format: Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst).

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// A regular file, readable by everybody.
const MODE: usize = 0o100_644;

/// An archive of `files`, in their order.
pub fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, (name, data)) in files.into_iter().enumerate() {
        entry(&mut bytes, index + 1, name, MODE, data);
    }
    entry(&mut bytes, 0, TRAILER, 0, &[]);
    bytes
}

fn entry(bytes: &mut Vec<u8>, inode: usize, name: &str, mode: usize, data: &[u8]) {
    // magic, then 13 fields of 8 hexadecimal digits each: ino, mode, uid, gid, nlink, mtime,
    // filesize, devmajor, devminor, rdevmajor, rdevminor, namesize (with its NUL), check.
    bytes.extend(b"070701");
    for field in [inode, mode, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0] {
        bytes.extend(format!("{field:08x}").bytes());
    }
    bytes.extend(name.bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend(data);
    pad(bytes);
}

/// Header with name, and data, each end at a multiple of 4.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_small_file_byte_for_byte() {
        let made = archive([("ab", &b"xyz"[..])]);
        // Written out by hand from the format's description.
        let header = concat!(
            "070701", "00000001", "000081a4", "00000000", "00000000", "00000001", "00000000",
            "00000003", "00000000", "00000000", "00000000", "00000000", "00000003", "00000000",
        );
        assert_eq!(header.len(), 110);
        assert_eq!(&made[..110], header.as_bytes());
        // 110 + "ab\0" = 113, padded to 116; then 3 bytes of data, padded to 120.
        assert_eq!(&made[110..120], b"ab\0\0\0\0xyz\0");
        assert_eq!(&made[120..126], b"070701");
        assert!(made.len().is_multiple_of(4));
        let end = made.len() - TRAILER.len() - 5;
        assert!(made[end..].starts_with(b"") && made.windows(10).any(|w| w == TRAILER.as_bytes()));
    }

    /// GNU cpio's view of our archive, where there is one.
    #[test]
    fn archive_reads_back() {
        let long = vec![7_u8; 4097];
        let files: [(&str, &[u8]); 3] =
            [("kernel", b"k"), ("init crc32=00000000", &long), ("empty", b"")];
        let made = archive(files);
        assert_eq!(read(&made), files.map(|(name, data)| (name.to_string(), data.to_vec())));
    }

    /// A reader written from the format, not from the writer.
    fn read(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let start = bytes.len();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |index: usize| {
                let text = std::str::from_utf8(&bytes[6 + index * 8..14 + index * 8]).expect("hex");
                usize::from_str_radix(text, 16).expect("hex")
            };
            let (size, name_size) = (field(6), field(11));
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).expect("name");
            assert_eq!(bytes[110 + name_size - 1], 0);
            if name == TRAILER {
                return files;
            }
            let offset = start - bytes.len();
            let data = (offset + 110 + name_size).next_multiple_of(4) - offset;
            files.push((name, bytes[data..data + size].to_vec()));
            bytes = &bytes[(offset + data + size).next_multiple_of(4) - offset..];
        }
    }
}

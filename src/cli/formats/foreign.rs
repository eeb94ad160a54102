//! What cannot be read here, and what to do about it.

/// What a file is by its first bytes, if it is nothing that can be read here, and what to do.
pub fn foreign_format(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it first";
    const EXPORT: &str = "export it as JSON Lines or CSV first";
    let formats: [(&[u8], _, _); 11] = [
        (b"PK\x03\x04", "a zip archive", UNPACK),
        (b"PK\x05\x06", "an empty zip archive", UNPACK),
        (b"BZh", "compressed with bzip2", UNPACK),
        (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
        (b"\x04\x22\x4d\x18", "compressed with lz4", UNPACK),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
        (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
        (b"PAR1", "a Parquet file", EXPORT),
        (b"SQLite format 3\0", "an SQLite database", EXPORT),
        (b"%PDF-", "a PDF file", "take the text out of it first"),
        (b"\xd0\xcf\x11\xe0", "an Office file", EXPORT),
    ];
    if start.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    formats.iter().find(|(magic, ..)| start.starts_with(magic)).map(|&(_, what, todo)| (what, todo))
}

//! Hand-made images: what no program writes. The images that programs write are in `tests/it/boot_media.rs`.
use futures_util::FutureExt as _;

use super::*;
use crate::boot::source::InMemory;

/// An image whose root directory, at block 18, has these records after `.` and `..`.
fn image(records: &[Vec<u8>]) -> Vec<u8> {
    let mut image = vec![0_u8; 24 * 2048];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(16 * 2048, b"\x01CD001\x01");
    put(16 * 2048 + 40, b"LABEL   ");
    put(16 * 2048 + 318, b"PUBLISHER  ");
    put(16 * 2048 + 128, &[0, 8]);
    put(16 * 2048 + 156, &record(b"\0", 18, 2048, 2, b""));
    put(17 * 2048, b"\xffCD001\x01");
    let mut at = 18 * 2048;
    for record in [record(b"\0", 18, 2048, 2, b""), record(b"\x01", 18, 2048, 2, b"")]
        .iter()
        .chain(records)
    {
        put(at, record);
        at += record.len();
    }
    put(20 * 2048, &[b'x'; 2048]);
    image
}

fn record(name: &[u8], block: u32, length: u32, flags: u8, system_use: &[u8]) -> Vec<u8> {
    let mut record = vec![0; 33];
    record[2..6].copy_from_slice(&block.to_le_bytes());
    record[10..14].copy_from_slice(&length.to_le_bytes());
    record[25] = flags;
    record[32] = name.len() as u8;
    record.extend_from_slice(name);
    if name.len().is_multiple_of(2) {
        record.push(0);
    }
    record.extend_from_slice(system_use);
    record[0] = record.len() as u8;
    record
}

fn open(bytes: Vec<u8>) -> Result<Image<InMemory>, String> {
    let opened = Image::open(InMemory(bytes.into()), Limits::default()).now_or_never();
    opened.unwrap().map_err(|error| error.to_string())
}

fn find(image: &mut Image<InMemory>, path: &str) -> Result<Option<Entry>, String> {
    let found = image.find(path).now_or_never().unwrap();
    found.map_err(|error| error.to_string())
}

fn read(image: &mut Image<InMemory>, path: &str) -> Result<Bytes, String> {
    let entry = find(image, path)?.ok_or("missing")?;
    let read = image.read(&entry, 1 << 20).now_or_never().unwrap();
    read.map_err(|error| error.to_string())
}

#[test]
fn names_without_extensions() {
    let mut image = open(image(&[
        record(b"USER_DAT.;1", 20, 3, 0, b""),
        record(b"A.TXT;1", 20, 4, 0, b""),
        record(b"DIR", 18, 2048, 2, b""),
    ]))
    .unwrap();
    assert_eq!((image.volume_id(), image.publisher_id()), ("LABEL", "PUBLISHER"));
    assert!(!image.is_bootable());
    assert_eq!(image.name_spaces().collect::<Vec<_>>(), [NameSpace::Plain]);
    let root = image.root();
    let names: Vec<Box<str>> = image
        .list(&root)
        .now_or_never()
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["user_dat".into(), "a.txt".into(), "dir".into()]);
    assert_eq!(read(&mut image, "/A.txt").unwrap(), "xxxx");
    assert_eq!(read(&mut image, "dir").unwrap_err(), "that is a directory");
    assert_eq!(find(&mut image, "a.txt/b"), Ok(None));
    assert_eq!(find(&mut image, "b"), Ok(None));
}

#[test]
fn a_directory_that_contains_itself() {
    let mut image = open(image(&[record(b"DIR", 18, 2048, 2, b"")])).unwrap();
    assert!(
        find(&mut image, "dir/dir")
            .unwrap_err()
            .contains("contains itself")
    );
}

#[test]
fn files_of_several_sections() {
    let sections = |last: &[u8], flags| {
        image(&[
            record(b"BIG.;1", 20, 2048, 0x80, b""),
            record(b"BIG.;1", 20, 2048, 0x80, b""),
            record(last, 20, 10, flags, b""),
        ])
    };
    let mut good = open(sections(b"BIG.;1", 0)).unwrap();
    assert_eq!(read(&mut good, "big").unwrap().len(), 2 * 2048 + 10);
    for (last, flags) in [(&b"OTHER.;1"[..], 0), (b"BIG.;1", 0x80), (b"BIG.;1", 2)] {
        let mut bad = open(sections(last, flags)).unwrap();
        assert!(
            find(&mut bad, "big").unwrap_err().contains("sections"),
            "{last:?} {flags}"
        );
    }
}

#[test]
fn what_is_outside_the_image_or_too_large() {
    let mut image = open(image(&[
        record(b"OUT", 23, 2049, 0, b""),
        record(b"FAR", u32::MAX, u32::MAX, 0, b""),
        record(b"DIR", u32::MAX, 2048, 2, b""),
        record(b"HUGE", 19, u32::MAX, 2, b""),
    ]))
    .unwrap();
    assert!(
        read(&mut image, "out")
            .unwrap_err()
            .contains("the image ends before byte 49153")
    );
    assert!(read(&mut image, "far").unwrap_err().contains("larger than"));
    assert!(find(&mut image, "dir/x").unwrap_err().contains("the image ends"));
    assert!(find(&mut image, "huge/x").unwrap_err().contains("too large"));
}

/// A record without system use, after a root that announces some.
fn rock_ridge(entries: &[Vec<u8>]) -> Vec<u8> {
    let root = record(b"\0", 18, 2048, 2, b"SP\x07\x01\xbe\xef\0");
    let mut bytes = image(&[]);
    let mut at = 18 * 2048;
    for record in std::iter::once(&root).chain(entries) {
        bytes[at..at + record.len()].copy_from_slice(record);
        at += record.len();
    }
    bytes
}

fn both(value: u32) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

fn continuation(block: u32, offset: u32, length: u32) -> Vec<u8> {
    [b"CE\x1c\x01".to_vec(), both(block), both(offset), both(length)].concat()
}

#[test]
fn rock_ridge_names_in_parts_and_continuations() {
    let mut bytes = rock_ridge(&[
        record(b"A", 20, 1, 0, b"NM\x09\x01\x01one-NM\x09\x01\0two!"),
        record(
            b"B",
            20,
            1,
            0,
            &[b"NM\x09\x01\x01one-".to_vec(), continuation(21, 100, 9)].concat(),
        ),
        record(b"C.;1", 20, 1, 0, b"XX\x04\x01"),
        record(b"D.;1", 20, 1, 0, b"NM\xff\x01\0damaged"),
        record(b"E.;1", 20, 1, 0, b"NM\x08\x01\0a/b"),
    ]);
    bytes[21 * 2048 + 100..21 * 2048 + 109].copy_from_slice(b"NM\x09\x01\0rest");
    let mut image = open(bytes).unwrap();
    assert_eq!(image.name_space(), NameSpace::RockRidge);
    let root = image.root();
    let entries = image.list(&root).now_or_never().unwrap().unwrap();
    let names: Vec<&str> = entries.iter().map(Entry::name).collect();
    assert_eq!(names, ["one-two!", "one-rest", "c", "d"]);
}

#[test]
fn continuations_that_never_end() {
    let mut bytes = rock_ridge(&[record(b"A", 20, 1, 0, &continuation(21, 0, 28))]);
    bytes[21 * 2048..21 * 2048 + 28].copy_from_slice(&continuation(21, 0, 28));
    let error = find(&mut open(bytes).unwrap(), "a").unwrap_err();
    assert!(error.contains("system use"), "{error}");
}

#[test]
fn a_moved_directory_that_is_none() {
    let child = [b"CL\x0c\x01".to_vec(), both(20)].concat();
    let bytes = rock_ridge(&[record(b"A", 20, 1, 0, &child)]);
    assert!(find(&mut open(bytes).unwrap(), "a").is_err());
}

#[test]
fn what_is_no_image() {
    for bytes in [
        vec![],
        vec![0; 1000],
        vec![0; 100_000],
        b"<html>not found</html>".repeat(4000),
    ] {
        let error = open(bytes).unwrap_err();
        assert!(error.contains("no ISO 9660 volume descriptors"), "{error}");
    }
    let mut no_primary = image(&[]);
    no_primary[16 * 2048] = 3;
    assert!(open(no_primary).unwrap_err().contains("no primary"));
    for size in [0, 1, 4096_u16] {
        let mut odd = image(&[]);
        odd[16 * 2048 + 128..16 * 2048 + 130].copy_from_slice(&size.to_le_bytes());
        assert!(open(odd).unwrap_err().contains("logical blocks"));
    }
    let mut damaged = image(&[vec![200, 0, 0]]);
    damaged[18 * 2048 + 68] = 20;
    let mut damaged = open(damaged).unwrap();
    assert!(find(&mut damaged, "x").unwrap_err().contains("record at byte 68"));
}

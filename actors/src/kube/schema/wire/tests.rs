use super::*;

fn read(bytes: &[u8]) -> Result<u64, WireError> {
    Reader::new(bytes).varint()
}

#[test]
fn numbers_of_one_to_ten_bytes() {
    assert_eq!(read(&[0]), Ok(0));
    assert_eq!(read(&[0xac, 0x02]), Ok(300));
    let mut most = vec![0xff; 9];
    most.push(1);
    assert_eq!(read(&most), Ok(u64::MAX));
    assert_eq!(read(&[0x80; 10]), Err(WireError::Overflow));
    assert_eq!(read(&[0x80; 3]), Err(WireError::Truncated));
    for value in [0, 1, 127, 128, 1 << 40, i64::MAX, -1, i64::MIN] {
        let mut writer = Writer::default();
        writer.varint(5, value);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.key(), Ok(Some((5, WireType::Varint))));
        assert_eq!(reader.varint().map(u64::cast_signed), Ok(value));
        assert_eq!(reader.key(), Ok(None));
    }
}

#[test]
fn lengths_are_checked_before_they_are_believed() {
    assert_eq!(Reader::new(&[3, 1, 2]).bytes(), Err(WireError::Truncated));
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(Reader::new(&huge).bytes(), Err(WireError::NegativeLength));
    assert_eq!(Reader::new(&[2, 7, 8, 9]).bytes(), Ok(&[7_u8, 8][..]));
}

#[test]
fn keys_must_have_a_number_and_a_known_layout() {
    assert_eq!(
        Reader::new(&[0]).key(),
        Err(WireError::IllegalTag { number: 0, wire: 0 })
    );
    assert_eq!(Reader::new(&[0x0e]).key(), Err(WireError::IllegalType(6)));
    assert_eq!(Reader::new(&[]).key(), Ok(None));
}

#[test]
fn groups_are_skipped_to_their_end() {
    // Group 1 { group 2 { } varint 3 } varint 4.
    let bytes = [0x0b, 0x13, 0x14, 0x18, 0x05, 0x0c, 0x20, 0x07];
    let mut reader = Reader::new(&bytes);
    let (_, wire) = reader.key().unwrap().unwrap();
    reader.skip(wire).unwrap();
    assert_eq!(reader.key(), Ok(Some((4, WireType::Varint))));
    let mut open = Reader::new(&[0x13]);
    assert_eq!(open.skip(WireType::Group), Err(WireError::Truncated));
    assert_eq!(
        Reader::new(&[]).skip(WireType::GroupEnd),
        Err(WireError::EndOfGroup)
    );
}

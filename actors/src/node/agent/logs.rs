//! System logs: a small but real archive.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ids::NodeId;

/// Base64 of a gzipped tar archive with the ramdisk's journal.
pub(super) fn archive(id: NodeId, commands: &[&str]) -> String {
    let mut journal = format!("ramdisk of system {id} started\n");
    for command in commands {
        journal.push_str("command ");
        journal.push_str(command);
        journal.push('\n');
    }
    // Writing into memory cannot fail; should it, Ironic takes an empty text as "no logs".
    pack("journal", journal.as_bytes())
        .map(|packed| STANDARD.encode(packed))
        .unwrap_or_default()
}

fn pack(name: &str, content: &[u8]) -> std::io::Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    tar.append_data(&mut header, name, content)?;
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_archive_unpacks() {
        let text = archive(NodeId::from_name("a"), &["sync"]);
        let packed = STANDARD.decode(text).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
        let mut journal = String::new();
        entry.read_to_string(&mut journal).unwrap();
        assert!(journal.contains("command sync"), "{journal}");
    }
}

//! An image: what boots from it, and what is in its directories, by every set of names.
#![no_main]

use bytes::Bytes;
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use metalsim::boot::iso9660::{Image, Limits};
use metalsim::boot::medium::examine;
use metalsim::boot::source::InMemory;
use metalsim_actors::node::bmc::BootMode;

/// Directories that are listed of one image.
const MOST_LISTED: usize = 100;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let limits = Limits::default();
    for mode in [BootMode::Uefi, BootMode::Legacy] {
        let _ = examine(InMemory(bytes.clone()), mode, limits)
            .now_or_never()
            .expect("no waiting");
    }
    let Some(Ok(mut image)) = Image::open(InMemory(bytes), limits).now_or_never() else {
        return;
    };
    for space in image.name_spaces() {
        assert!(image.use_name_space(space));
        let mut left = vec![image.root()];
        let mut listed = 0;
        while let Some(directory) = left.pop().filter(|_| listed < MOST_LISTED) {
            listed += 1;
            for entry in image
                .list(&directory)
                .now_or_never()
                .expect("no waiting")
                .unwrap_or_default()
            {
                if entry.is_directory() {
                    left.push(entry);
                } else if let Ok(content) = image.read(&entry, 4096).now_or_never().expect("no waiting") {
                    assert_eq!(content.len() as u64, entry.size());
                }
            }
        }
    }
    let used = image.used();
    assert!(used.bytes <= limits.read.bytes && used.reads <= limits.read.reads);
});

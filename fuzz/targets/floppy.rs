//! A FAT image with the agent's parameters.
#![no_main]

use bytes::Bytes;
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use metalsim::boot::medium::floppy_parameters;
use metalsim::boot::source::{InMemory, ReadLimits};

fuzz_target!(|data: &[u8]| {
    let image = InMemory(Bytes::copy_from_slice(data));
    let _ = floppy_parameters(image, ReadLimits::default())
        .now_or_never()
        .expect("no waiting");
});

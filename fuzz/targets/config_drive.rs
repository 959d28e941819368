//! A config drive as Ironic passes it; and as the bytes of an image, which base64 would hide from the fuzzer.
#![no_main]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use libfuzzer_sys::fuzz_target;
use metalsim::boot::system;

fuzz_target!(|data: &[u8]| {
    let described = system::of_config_drive(&BASE64_STANDARD.encode(data));
    drop(format!("{described:?}"));
    if let Ok(text) = std::str::from_utf8(data) {
        drop(system::of_config_drive(text));
    }
});

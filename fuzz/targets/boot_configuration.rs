//! Configurations of GRUB and ISOLINUX.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalsim::boot::{grub, isolinux};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let _ = grub::boot_entry(&text);
    let _ = isolinux::boot_entry(&text);
});

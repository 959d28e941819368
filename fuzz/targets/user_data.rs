//! User data of any kind: cloud-config, templates, several parts, Ignition, and kubeadm's documents within.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use metalsim::boot::config_drive::{ConfigDrive, UserDataBytes};
use metalsim::boot::system;

fuzz_target!(|data: &[u8]| {
    let described = system::describe(&ConfigDrive {
        user_data: Some(UserDataBytes(Bytes::copy_from_slice(data))),
        ..ConfigDrive::default()
    });
    drop(format!("{described:?}"));
});

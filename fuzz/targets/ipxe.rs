//! Scripts, separated by NUL: the first one runs, and the others are what it finds when it chains.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalsim::boot::ipxe::{Action, Answer, Interpreter, Machine, Purpose, SHEBANG};
use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::BootMode;
use url::Url;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut scripts = text.split('\0');
    let macs: Vec<MacAddress> = (0..3).map(|index| MacAddress::derived("node", index)).collect();
    let machine = Machine {
        boot_mac: MacAddress::derived("node", 1),
        macs,
        mode: BootMode::Uefi,
        architecture: "x86_64".into(),
        uuid: Uuid::nil(),
        other: Vec::new(),
    };
    let url = Url::parse("http://192.0.2.1/boot.ipxe").expect("a URL");
    let first = format!("{SHEBANG}\n{}", scripts.next().unwrap_or_default());
    let Ok(mut interpreter) = Interpreter::new(&machine, url, &first) else {
        return;
    };
    let mut action = interpreter.run();
    // Ends: every kind of endlessness has a limit.
    loop {
        action = match action {
            Ok(Action::Fetch(fetch)) if fetch.purpose == Purpose::Chain => match scripts.next() {
                Some(script) => interpreter.resume(Answer::Script(&format!("{SHEBANG}\n{script}"))),
                None => interpreter.resume(Answer::Failed),
            },
            Ok(Action::Fetch(fetch)) if fetch.url.as_str().ends_with('0') => {
                interpreter.resume(Answer::Failed)
            }
            Ok(Action::Fetch(_)) => interpreter.resume(Answer::Fetched),
            Ok(Action::Boot(_) | Action::SanBoot(_)) => interpreter.resume(Answer::Failed),
            Ok(Action::Exit(_) | Action::Reboot | Action::PowerOff) | Err(_) => break,
        };
    }
});

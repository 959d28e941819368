use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::BootMode;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const BASE: &str = "http://192.0.2.1:6180/boot.ipxe";

fn machine() -> Machine {
    let mac = |text: &str| text.parse::<MacAddress>().unwrap();
    Machine {
        macs: vec![mac("02:aa:00:00:00:01"), mac("02:aa:00:00:00:02")],
        boot_mac: mac("02:aa:00:00:00:02"),
        mode: BootMode::Uefi,
        architecture: "x86_64".into(),
        uuid: Uuid::nil(),
        other: vec![("serial".into(), "a b/c".into())],
    }
}

fn start(text: &str) -> Interpreter {
    Interpreter::new(&machine(), Url::parse(BASE).unwrap(), text).unwrap()
}

/// Follows a script in which what `files` names is there: the text of a script, or an empty one for an image.
/// Returns every URL asked for, and how it ended.
fn follow(text: &str, files: &[(&str, &str)]) -> (Vec<String>, Result<Action, IpxeError>) {
    let mut asked = Vec::new();
    let mut interpreter = start(&format!("#!ipxe\n{text}"));
    let mut action = interpreter.run();
    while let Ok(Action::Fetch(fetch)) = &action {
        let path = fetch
            .url
            .as_str()
            .trim_start_matches("http://192.0.2.1:6180/")
            .to_owned();
        let found = files.iter().find(|(name, _)| *name == path);
        action = interpreter.resume(match found {
            None => Answer::Failed,
            Some((_, "")) => Answer::Fetched,
            Some((_, text)) => Answer::Script(text),
        });
        asked.push(path);
    }
    (asked, action)
}

fn boots(kernel: &str, line: &str, initrds: &[&str]) -> Result<Action, IpxeError> {
    let url = |path: &str| Url::parse(BASE).unwrap().join(path).unwrap();
    Ok(Action::Boot(KernelBoot {
        kernel: url(kernel),
        command_line: Secret::new(line),
        initrds: initrds.iter().map(|path| url(path)).collect(),
    }))
}

/// The shape of Ironic's `boot.ipxe` with Metal3's fall-back.
const BOOT: &str = "
# Loop over the network devices.
set netid:int32 -1
:loop
inc netid || chain pxelinux.cfg/${mac:hexhyp} || goto old_rom
isset ${net${netid}/mac} || goto loop_done
echo Attempting to boot from MAC ${net${netid}/mac:hexhyp}
chain pxelinux.cfg/${net${netid}/mac:hexhyp} || goto loop

echo Exiting pxe config to allow boot to continue on next device
exit 0

:loop_done
chain inspector.ipxe | goto boot_failed

:boot_failed
echo PXE boot failed! No configuration found for any of the present NICs.
prompt --timeout 180
reboot

:old_rom
reboot
";

/// The shape of a node's configuration, with this as the first label.
fn node(label: &str) -> String {
    format!(
        "#!ipxe

set attempts:int32 3
set i:int32 0

goto {label}

:deploy
imgfree
kernel --timeout 60 http://192.0.2.1:6180/uuid/deploy_kernel selinux=0 troubleshoot=0 text nofb ipa-insecure=1 ipa-debug=1 ipa-api-url=http://192.0.2.1:6385 BOOTIF=${{mac}} initrd=deploy_ramdisk || goto retry

initrd --timeout 60 http://192.0.2.1:6180/uuid/deploy_ramdisk || goto retry
initrd ../ipa-cacert-bundle || goto retry
boot

:retry
iseq ${{i}} ${{attempts}} && goto fail ||
inc i
echo No response, retrying in ${{i}} seconds.
sleep ${{i}}
goto deploy

:fail
echo Failed to get a response after ${{attempts}} attempts
sleep 30
poweroff

:boot_anaconda
imgfree
kernel http://192.0.2.1:6180/uuid/kernel text inst.ks=http://x/ks.cfg initrd=ramdisk || goto boot_anaconda
initrd http://192.0.2.1:6180/uuid/ramdisk || goto boot_anaconda
boot

:boot_ramdisk
imgfree
sanboot http://192.0.2.1:6180/uuid/boot_iso

:boot_iscsi
imgfree
set username u
sanhook --drive 0x80 iscsi:192.0.2.9::3260:1:iqn.x || goto fail_iscsi_retry
sanhook --drive 0x81 iscsi:192.0.2.9::3260:2:iqn.x || goto fail_iscsi_retry
sanboot --no-describe || goto fail_iscsi_retry

:fail_iscsi_retry
sleep 10
goto boot_iscsi

:boot_whole_disk
sanboot --no-describe || exit 0
"
    )
}

const LINE: &str = "selinux=0 troubleshoot=0 text nofb ipa-insecure=1 ipa-debug=1 ipa-api-url=http://192.0.2.1:6385 \
                    BOOTIF=02:aa:00:00:00:02 initrd=deploy_ramdisk";

#[test]
fn deployment_by_the_second_interface() {
    let config = node("deploy");
    let files = [
        ("pxelinux.cfg/02-aa-00-00-00-02", config.as_str()),
        ("uuid/deploy_kernel", ""),
        ("uuid/deploy_ramdisk", ""),
        ("ipa-cacert-bundle", ""),
    ];
    let (asked, ended) = follow(BOOT, &files);
    assert_eq!(
        ended,
        boots(
            "uuid/deploy_kernel",
            LINE,
            &["uuid/deploy_ramdisk", "ipa-cacert-bundle"]
        )
    );
    assert_eq!(
        asked,
        [
            "pxelinux.cfg/02-aa-00-00-00-01",
            "pxelinux.cfg/02-aa-00-00-00-02",
            "uuid/deploy_kernel",
            "uuid/deploy_ramdisk",
            "ipa-cacert-bundle"
        ]
    );
}

#[test]
fn without_a_kernel_it_gives_up_after_some_attempts() {
    let config = node("deploy");
    let (asked, ended) = follow(BOOT, &[("pxelinux.cfg/02-aa-00-00-00-01", &config)]);
    assert_eq!(ended, Ok(Action::PowerOff));
    assert_eq!(
        asked.iter().filter(|path| *path == "uuid/deploy_kernel").count(),
        4
    );
}

#[test]
fn other_labels() {
    let at = "pxelinux.cfg/02-aa-00-00-00-01";
    for (label, expected) in [
        ("boot_whole_disk", SanTarget::LocalDisk),
        (
            "boot_ramdisk",
            SanTarget::Remote("http://192.0.2.1:6180/uuid/boot_iso".into()),
        ),
        (
            "boot_iscsi",
            SanTarget::Remote("iscsi:192.0.2.9::3260:1:iqn.x".into()),
        ),
    ] {
        let (_, ended) = follow(BOOT, &[(at, &node(label))]);
        assert_eq!(ended, Ok(Action::SanBoot(expected)), "{label}");
    }
    let (asked, ended) = follow(BOOT, &[(at, &node("boot_anaconda"))]);
    // The kernel is not there, and this script asks again for ever.
    assert_eq!(ended, Err(IpxeError::Endless));
    assert!(asked.len() <= MOST_FETCHES as usize);
}

#[test]
fn a_disk_that_does_not_boot_goes_on_with_the_next_device() {
    let mut interpreter = start(&format!("#!ipxe\n{BOOT}"));
    let mut action = interpreter.run().unwrap();
    assert!(matches!(
        action,
        Action::Fetch(Fetch {
            purpose: Purpose::Chain,
            ..
        })
    ));
    action = interpreter
        .resume(Answer::Script(&node("boot_whole_disk")))
        .unwrap();
    assert_eq!(action, Action::SanBoot(SanTarget::LocalDisk));
    assert_eq!(interpreter.resume(Answer::Failed), Ok(Action::Exit(true)));
    assert_eq!(interpreter.resume(Answer::Failed), Err(IpxeError::WrongAnswer));
}

/// The shape of ironic-image's `inspector.ipxe`.
const INSPECTOR: &str = "#!ipxe

echo In inspector.ipxe
iseq ${buildarch} arm64 && goto arm64 ||
iseq ${buildarch} x86_64 && goto x86_64 ||
goto fallback

:arm64
goto boot

:x86_64
set ipa_kernel http://192.0.2.1:6180/images/x86.kernel
set ipa_ramdisk http://192.0.2.1:6180/images/x86.initramfs
set ipa_ramdisk_name x86.initramfs
goto boot

:fallback
goto boot

:boot
:retry_boot
imgfree
# NOTE: a comment
kernel --timeout 60000 ${ipa_kernel} ipa-insecure=1 ipa-inspection-collectors=default,logs BOOTIF=${mac} ipa-debug=1 ipa-inspection-callback-url=http://192.0.2.1:6385/v1/continue_inspection initrd=${ipa_ramdisk_name} initrd=ipa-cacert-bundle sshkey=\"ssh-rsa AAAA x\" || goto retry_boot
initrd --timeout 60000 ${ipa_ramdisk} || goto retry_boot
boot
";

#[test]
fn inspection_of_an_unknown_machine() {
    let files = [
        ("inspector.ipxe", INSPECTOR),
        ("images/x86.kernel", ""),
        ("images/x86.initramfs", ""),
    ];
    let line = "ipa-insecure=1 ipa-inspection-collectors=default,logs BOOTIF=02:aa:00:00:00:02 ipa-debug=1 \
                ipa-inspection-callback-url=http://192.0.2.1:6385/v1/continue_inspection initrd=x86.initramfs \
                initrd=ipa-cacert-bundle sshkey=\"ssh-rsa AAAA x\"";
    let (asked, ended) = follow(BOOT, &files);
    assert_eq!(ended, boots("images/x86.kernel", line, &["images/x86.initramfs"]));
    assert_eq!(asked.len(), 5);
}

#[test]
fn nothing_found_ends_in_failure() {
    // A single bar is no separator: the failing chain ends the script.
    assert_eq!(follow(BOOT, &[]).1, Ok(Action::Exit(false)));
}

#[test]
fn separators_and_results() {
    for (line, expected) in [
        ("iseq 1 1", true),
        ("iseq 1 2", false),
        ("iseq 1 2 ||", true),
        ("iseq 1 2 && exit 1 ||", true),
        ("iseq 1 1 && iseq 1 2 || iseq 2 2", true),
        ("iseq 1 2 ; iseq 1 1", true),
        ("iseq 1 1 || exit 1", true),
        ("isset ${nothing}", false),
        ("isset ${mac} # && exit 1", true),
        ("goto nowhere", false),
        ("goto nowhere || exit 0", true),
        ("unknown command", false),
        ("exit 3", false),
        ("exit 0 ; iseq 1 2", true),
        ("iseq 1 1 \\\n && exit 1", false),
        ("prompt --timeout 5 Press a key", false),
        ("prompt -t5 || ", true),
        ("time iseq 1 1", true),
        ("time time iseq 1 1", false),
        ("set x:int32 word", false),
    ] {
        assert_eq!(follow(line, &[]).1, Ok(Action::Exit(expected)), "{line}");
    }
    for waits in ["shell", "prompt"] {
        assert_eq!(follow(waits, &[]).1, Err(IpxeError::Waits));
    }
    for endless in [
        ":a\ngoto a",
        ":a\nset a x${a}${a}\ngoto a",
        ":a\ninc i\nset b${i} x\ngoto a",
    ] {
        assert_eq!(follow(endless, &[]).1, Err(IpxeError::Endless));
    }
}

#[test]
fn settings_and_their_types() {
    for (word, expected) in [
        ("${mac}", "02:aa:00:00:00:02"),
        ("${net0/mac:hexhyp}", "02-aa-00-00-00-01"),
        (
            "${net0/mac:hexraw}-${net1/mac:hex}",
            "02aa00000001-02:aa:00:00:00:02",
        ),
        ("${serial:uristring}", "a%20b%2Fc"),
        ("${platform}/${buildarch}", "efi/x86_64"),
        ("x${nothing}y${nothing:hexhyp}z", "xyz"),
        ("${n:hexraw}", "0000000a"),
        ("${net${zero}/mac:hexraw}", "02aa00000001"),
        ("a}b", "a}b"),
        ("${open", "${open"),
        ("${uuid}", "00000000-0000-0000-0000-000000000000"),
    ] {
        let text = format!("set n:int32 9\ninc n\nset zero 0\niseq {word} {expected}");
        assert_eq!(follow(&text, &[]).1, Ok(Action::Exit(true)), "{word}");
    }
}

#[test]
fn menus_take_their_default() {
    let menu = "menu Title\nitem --gap -- Things\nitem one First\nitem --key t two Second\n";
    for (choose, label) in [
        ("choose x", "one"),
        ("choose --default two --timeout 5000 x", "two"),
    ] {
        let text = format!("{menu}{choose} && iseq ${{x}} {label}");
        assert_eq!(follow(&text, &[]).1, Ok(Action::Exit(true)), "{choose}");
    }
}

#[test]
fn images_by_name() {
    let files = [("dir/vmlinuz", ""), ("dir/initrd.img", ""), ("x.efi", "")];
    let text =
        "imgfetch --name k dir/vmlinuz a=1\ninitrd -n i dir/initrd.img\nimgargs k b=2\nimgselect k\nboot";
    assert_eq!(
        follow(text, &files).1,
        boots("dir/vmlinuz", "b=2", &["dir/initrd.img"])
    );
    assert_eq!(
        follow("kernel dir/vmlinuz c=3\nboot vmlinuz", &files).1,
        boots("dir/vmlinuz", "c=3", &[])
    );
    assert_eq!(
        follow("initrd dir/vmlinuz\nimgfree\nboot", &files).1,
        Ok(Action::Exit(false))
    );
    assert_eq!(follow("boot other", &files).1, Ok(Action::Exit(false)));
    assert_eq!(
        follow("chain --autofree x.efi y", &files).1,
        boots("x.efi", "y", &[])
    );
}

#[test]
fn chained_scripts_return_unless_they_replace() {
    let files = [
        ("ok", "#!ipxe\nexit 0"),
        ("bad", "#!ipxe\nexit 1"),
        ("html", "#!ipxehtml"),
        ("self", "#!ipxe\nchain self"),
    ];
    for (text, expected) in [
        ("chain ok && exit 1", false),
        ("chain ok || exit 1", true),
        ("chain bad || exit 0", true),
        ("chain bad", false),
        ("chain html || exit 0", true),
        ("chain --replace ok\nexit 1", true),
    ] {
        assert_eq!(follow(text, &files).1, Ok(Action::Exit(expected)), "{text}");
    }
    assert_eq!(follow("chain self", &files).1, Err(IpxeError::Endless));
}

#[test]
fn what_is_no_script() {
    let new = |text: &str| Interpreter::new(&machine(), Url::parse(BASE).unwrap(), text).map(|_| ());
    for text in ["", "#!/bin/sh", "<html>", "#!ipxescript"] {
        assert_eq!(new(text), Err(IpxeError::NotAScript));
    }
    let long = format!("#!ipxe\n{}", "#".repeat(MOST_SCRIPT));
    assert_eq!(new(&long), Err(IpxeError::TooLong(long.len())));
    assert_eq!(new("#!ipxe"), Ok(()));
}

proptest! {
    #[test]
    fn no_script_breaks_it(
        text in "((kernel|chain|goto|set|inc|iseq|item|choose|boot|sanboot|sanhook|imgargs|exit|time) |[:a${}/| &;\n#-]|--name |--drive=|-d){0,60}",
        answers in proptest::collection::vec(0..3_u8, 0..20),
    ) {
        let mut interpreter = start(&format!("#!ipxe\n{text}"));
        let mut action = interpreter.run();
        for answer in answers {
            if action.is_err() {
                break;
            }
            action = interpreter.resume(match answer {
                0 => Answer::Failed,
                1 => Answer::Fetched,
                _ => Answer::Script("#!ipxe\nset a b\nexit 0"),
            });
        }
    }
}

//! Boot media as real programs write them: genisoimage and xorriso, which Metal3's ironic-image has as `mkisofs`.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;
use futures_util::FutureExt as _;
use metalsim::boot::iso9660::{Entry, Image, Limits, NameSpace};
use metalsim::boot::medium::{AgentMedium, Medium, NotBootable, examine};
use metalsim::boot::source::{InMemory, ReadAt, ReadLimits};
use metalsim_actors::node::bmc::BootMode;
use proptest::prelude::*;

/// A program that writes images. Both take mkisofs' arguments.
#[derive(Clone, Copy, Debug)]
enum Writer {
    Genisoimage,
    Xorriso,
}

const WRITERS: [Writer; 2] = [Writer::Genisoimage, Writer::Xorriso];

/// Runs a program, which must be there and succeed.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| {
            panic!("{program} is needed for this test; install it (Debian: {program}): {error}")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

impl Writer {
    /// Writes the content of `folder` to an image with these further arguments of mkisofs.
    fn write(self, folder: &Path, image: &Path, arguments: &[&str]) {
        let (program, start): (_, &[&str]) = match self {
            Self::Genisoimage => ("genisoimage", &["-quiet", "-input-charset", "utf-8"]),
            Self::Xorriso => ("xorriso", &["-as", "mkisofs", "-quiet"]),
        };
        let end = ["-o", image.to_str().unwrap(), folder.to_str().unwrap()];
        run(program, &[start, arguments, &end].concat());
    }

    fn image(self, files: &Files, arguments: &[&str]) -> Bytes {
        let top = tempfile::tempdir().unwrap();
        let (folder, image) = (top.path().join("folder"), top.path().join("image.iso"));
        lay_out(&folder, files);
        self.write(&folder, &image, arguments);
        fs::read(&image).unwrap().into()
    }
}

/// Contents by path.
type Files = BTreeMap<String, Bytes>;

fn lay_out(folder: &Path, files: &Files) {
    fs::create_dir_all(folder).unwrap();
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn files(files: &[(&str, &str)]) -> Files {
    let owned =
        |(path, content): &(&str, &str)| ((*path).to_owned(), Bytes::copy_from_slice(content.as_bytes()));
    files.iter().map(owned).collect()
}

/// Reading without waiting.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Limits for reading everything of an image.
fn generous() -> Limits {
    Limits {
        read: ReadLimits {
            bytes: 1 << 30,
            reads: 1 << 20,
        },
        ..Limits::default()
    }
}

/// Directories that are listed: a damaged image can have one that contains itself twice.
const MOST_LISTED: usize = 500;

/// Everything in an image, found by listing.
fn walk<R: ReadAt<Error: Send + Sync + 'static>>(
    image: &mut Image<R>,
) -> Result<Files, Box<dyn std::error::Error>> {
    let mut found = Files::new();
    let mut left = vec![(String::new(), image.root(), 0)];
    let mut listed = 0;
    while let Some((path, directory, depth)) = left.pop().filter(|_| listed < MOST_LISTED) {
        listed += 1;
        for entry in now(image.list(&directory))? {
            let path = format!("{path}{}", entry.name());
            if !entry.is_directory() {
                let content = now(image.read(&entry, 1 << 30))?;
                found.insert(path, content);
            } else if depth < 40 {
                left.push((format!("{path}/"), entry, depth + 1));
            }
        }
    }
    Ok(found)
}

/// An image in memory that notes what is read.
struct Counted(InMemory, Vec<Range<u64>>);

impl ReadAt for &mut Counted {
    type Error = std::convert::Infallible;

    async fn read_at(&mut self, range: Range<u64>) -> Result<Bytes, Self::Error> {
        self.1.push(range.clone());
        self.0.read_at(range).await
    }

    fn size(&self) -> Option<u64> {
        // Known only from the first answer, as over HTTP.
        self.0.size().filter(|_| !self.1.is_empty())
    }
}

const TOKEN: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// What Ironic puts into an image for a machine in `mode` (ironic: `common/images.py`).
fn ironics_files(mode: BootMode, grub_path: &str) -> Files {
    let parameters = format!(
        "ir_pub_id=01d9 ipa-api-url=http://192.0.2.1:6385 ipa-agent-token={TOKEN} ipa-debug=1 boot_method=vmedia nofb"
    );
    let mut all = files(&[
        ("openstack/latest/network_data.json", "{\"links\":[]}"),
        ("etc/ironic-python-agent/ironic.crt", PEM),
        (
            "etc/ironic-python-agent.d/ironic-tls.conf",
            "[DEFAULT]\ncafile = /etc/ironic-python-agent/ironic.crt",
        ),
    ]);
    let mut large = |path: &str, size: usize| all.insert(path.to_owned(), vec![b'k'; size].into());
    large("vmlinuz", 3 << 20);
    large("initrd", 5 << 20);
    let (path, text) = match mode {
        BootMode::Uefi => {
            large("boot/grub/efiboot.img", 1440 << 10);
            let menu = "set default=0\nset timeout=5\nset hidden_timeout_quiet=false\n\nmenuentry \"boot_partition\" {\n";
            (
                grub_path,
                format!("{menu}linux /vmlinuz {parameters} --\ninitrd /initrd\n}}\n"),
            )
        }
        BootMode::Legacy => {
            large("isolinux/isolinux.bin", 40 << 10);
            let start = "default boot\n\nlabel boot\nkernel /vmlinuz\nappend initrd=/initrd text ";
            ("isolinux/isolinux.cfg", format!("{start}{parameters} --\n"))
        }
    };
    all.insert(path.to_owned(), text.into());
    all
}

/// The arguments with which Ironic calls mkisofs.
fn ironics_arguments(mode: BootMode) -> Vec<&'static str> {
    let start = [
        "-r",
        "-V",
        "config-2",
        "-l",
        "-publisher",
        "01D9",
        "-no-emul-boot",
    ];
    let end: &[&str] = match mode {
        BootMode::Uefi => &["-e", "boot/grub/efiboot.img"],
        BootMode::Legacy => &[
            "-J",
            "-boot-load-size",
            "4",
            "-boot-info-table",
            "-b",
            "isolinux/isolinux.bin",
        ],
    };
    match mode {
        // An image for UEFI has its options in another order, which xorriso minds: the boot image comes first.
        BootMode::Uefi => [&start[..6], end, &start[6..]].concat(),
        BootMode::Legacy => [&start[..], end].concat(),
    }
}

fn agent(image: &Bytes, mode: BootMode) -> (AgentMedium, Vec<Range<u64>>) {
    let mut counted = Counted(InMemory(image.clone()), Vec::new());
    match now(examine(&mut counted, mode, Limits::default())) {
        Ok(Medium::Agent(medium)) => (*medium, counted.1),
        other => panic!("an agent, not {other:?}"),
    }
}

#[test]
fn images_of_ironic_say_it_all_in_a_few_small_reads() {
    for writer in WRITERS {
        for (mode, path) in [
            (BootMode::Uefi, "EFI/BOOT/grub.cfg"),
            (BootMode::Uefi, "EFI/centos/grub.cfg"),
            (BootMode::Uefi, "EFI/other/grub.cfg"),
            (BootMode::Uefi, "boot/grub/grub.cfg"),
            (BootMode::Legacy, "isolinux/isolinux.cfg"),
        ] {
            let image = writer.image(&ironics_files(mode, path), &ironics_arguments(mode));
            for machine in [BootMode::Uefi, BootMode::Legacy] {
                let (medium, reads) = agent(&image, machine);
                let told = medium.told();
                assert_eq!(told.api_urls, Some(vec!["http://192.0.2.1:6385".into()]));
                assert_eq!(told.agent_token.as_ref().map(|token| token.expose()), Some(TOKEN));
                assert_eq!(told.ca_pem.as_deref(), Some(PEM));
                assert_eq!((told.debug, &told.unusable[..]), (Some(true), &[][..]));
                assert_eq!(medium.network_data.as_deref(), Some(&b"{\"links\":[]}"[..]));
                assert_eq!(
                    (&*medium.found.volume_id, &*medium.found.publisher_id),
                    ("config-2", "01D9")
                );
                assert_eq!(medium.found.configuration.as_deref(), Some(path));
                assert!(!format!("{medium:?}").contains(TOKEN));
                let read: u64 = reads.iter().map(|range| range.end - range.start).sum();
                assert!(
                    reads.len() <= 4 && read <= 128 << 10,
                    "{writer:?} {path}: {reads:?}"
                );
            }
        }
    }
}

#[test]
fn files_on_the_medium_count_only_with_the_boot_method_and_the_label() {
    let without = |text: &str, change: (&str, &str)| text.replace(change.0, change.1);
    let mut files = ironics_files(BootMode::Uefi, "EFI/BOOT/grub.cfg");
    let config = String::from_utf8(files["EFI/BOOT/grub.cfg"].to_vec()).unwrap();
    let mut arguments = ironics_arguments(BootMode::Uefi);
    arguments[2] = "OTHER";
    let (medium, _) = agent(&Writer::Xorriso.image(&files, &arguments), BootMode::Uefi);
    assert_eq!((medium.told().ca_pem, medium.network_data), (None, None));
    files.insert(
        "EFI/BOOT/grub.cfg".into(),
        without(&config, ("boot_method=vmedia", "")).into(),
    );
    arguments[2] = "vmedia_boot_iso";
    let (medium, _) = agent(&Writer::Xorriso.image(&files, &arguments), BootMode::Uefi);
    assert_eq!(medium.told().ca_pem, None);
}

#[test]
fn other_media() {
    let live = files(&[(
        "boot/grub/grub.cfg",
        "set timeout=1\nmenuentry 'Live' { linux /casper/vmlinuz boot=casper quiet --- \n }",
    )]);
    let look = |image: Bytes| now(examine(InMemory(image), BootMode::Uefi, Limits::default()));
    match look(Writer::Xorriso.image(&live, &["-r", "-J", "-V", "Live 24.04"])) {
        Ok(Medium::OtherSystem(found)) => {
            assert_eq!(&*found.volume_id, "Live 24.04");
            let boot = found.boot.unwrap();
            assert_eq!(
                (&*boot.kernel, boot.command_line.expose()),
                ("/casper/vmlinuz", "boot=casper quiet ---")
            );
        }
        other => panic!("another system, not {other:?}"),
    }
    let data = files(&[("openstack/latest/user_data", "#cloud-config\n")]);
    for writer in WRITERS {
        let refused = look(writer.image(&data, &["-R", "-J", "-V", "config-2"]));
        assert!(
            matches!(&refused, Err(NotBootable::Nothing { volume_id }) if &**volume_id == "config-2"),
            "{refused:?}"
        );
    }
    let mut boots = files(&[("sources/install.wim", "x")]);
    boots.insert("boot.img".into(), vec![0; 1440 << 10].into());
    for writer in WRITERS {
        match look(writer.image(&boots, &["-J", "-V", "OTHER_OS", "-b", "boot.img"])) {
            Ok(Medium::OtherSystem(found)) => assert_eq!((found.boot, &*found.volume_id), (None, "OTHER_OS")),
            other => panic!("{writer:?}: another system, not {other:?}"),
        }
    }
}

/// How names are written, with the arguments for it.
#[derive(Clone, Copy, Debug)]
enum Names {
    RockRidge,
    Joliet,
    Both,
    Plain,
}

impl Names {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::RockRidge => &["-R"],
            Self::Joliet => &["-J", "-joliet-long"],
            Self::Both => &["-R", "-J", "-joliet-long"],
            // Levels above 1 have 31 characters.
            Self::Plain => &["-iso-level", "3"],
        }
    }

    fn name(self) -> BoxedStrategy<String> {
        match self {
            Self::RockRidge => prop_oneof![
                "[a-z]{100,140}",
                "[a-zA-Z0-9 äß日_+-]{1,40}",
                "[a-z]{1,4}\\.[a-z]{1,8}"
            ]
            .boxed(),
            // Joliet's own limit is 64 characters; both programs go to 103 when told to.
            Self::Joliet | Self::Both => prop_oneof!["[a-zA-Z0-9äß日_+-]{1,40}", "[a-z]{70,95}"].boxed(),
            Self::Plain => "[a-z0-9_]{1,8}(\\.[a-z0-9]{1,3})?".boxed(),
        }
    }

    fn depth(self) -> usize {
        match self {
            Self::RockRidge => 12,
            Self::Joliet | Self::Both => 6,
            Self::Plain => 5,
        }
    }
}

/// Sizes of files by path. Every name is given a number, so that no two differ only by case.
fn any_sizes(names: Names) -> impl Strategy<Value = BTreeMap<String, usize>> {
    let size = prop_oneof![Just(0_usize), 1..5000_usize, 60_000..200_000_usize];
    let file = (
        proptest::collection::vec(0..3_usize, 0..=names.depth()),
        names.name(),
        size,
    );
    let folders = proptest::collection::vec(names.name(), 3);
    (folders, proptest::collection::vec(file, 1..25)).prop_map(|(folders, files)| {
        let path = |(index, (ups, name, size)): (usize, (Vec<usize>, String, usize))| {
            let folder = |up: &usize| format!("d{up}{}/", folders[*up].replace('.', "_"));
            let folders: String = ups.iter().map(folder).collect();
            (format!("{folders}f{index}{name}"), size)
        };
        files.into_iter().enumerate().map(path).collect()
    })
}

/// Content of a file that is not that of its neighbours.
fn content(path: &str, size: usize) -> Bytes {
    (0..size)
        .map(|at| (at.wrapping_mul(31) + path.len()) as u8)
        .collect()
}

fn any_image() -> impl Strategy<Value = (Writer, Names, BTreeMap<String, usize>)> {
    let names = prop_oneof![
        Just(Names::RockRidge),
        Just(Names::Joliet),
        Just(Names::Both),
        Just(Names::Plain)
    ];
    let writer = prop_oneof![Just(Writer::Genisoimage), Just(Writer::Xorriso)];
    (writer, names).prop_flat_map(|(writer, names)| (Just(writer), Just(names), any_sizes(names)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_written_is_read_back((writer, names, sizes) in any_image()) {
        let files: Files = sizes.iter().map(|(path, size)| (path.clone(), content(path, *size))).collect();
        let bytes = writer.image(&files, names.arguments());
        let mut image = now(Image::open(InMemory(bytes), generous())).unwrap();
        let spaces: Vec<NameSpace> = image.name_spaces().collect();
        let expected: &[NameSpace] = match (names, writer) {
            (Names::RockRidge, _) => &[NameSpace::RockRidge, NameSpace::Plain],
            // xorriso writes Rock Ridge always.
            (Names::Joliet, Writer::Genisoimage) => &[NameSpace::Joliet, NameSpace::Plain],
            (Names::Plain, Writer::Genisoimage) => &[NameSpace::Plain],
            (Names::Plain, Writer::Xorriso) => &[NameSpace::RockRidge, NameSpace::Plain],
            (Names::Both, _) | (Names::Joliet, Writer::Xorriso) => {
                &[NameSpace::RockRidge, NameSpace::Joliet, NameSpace::Plain]
            }
        };
        prop_assert_eq!(&spaces, expected);
        for space in spaces {
            let own = match (names, space) {
                (_, NameSpace::Plain) => matches!(names, Names::Plain),
                _ => true,
            };
            // Plain names of an image that has better ones are short forms.
            if !own {
                continue;
            }
            prop_assert!(image.use_name_space(space));
            let mut found = walk(&mut image).unwrap();
            if space == NameSpace::Plain {
                prop_assert_eq!(found.len(), files.len());
            }
            for (path, content) in &files {
                let same = found.remove(path);
                prop_assert!(same.as_ref() == Some(content), "{writer:?}: {path} in {space:?}: {:?}, left {:?}", same.map(|same| same.len()), found.keys());
                let entry = now(image.find(&path.to_ascii_uppercase())).unwrap();
                let entry: Entry = entry.unwrap();
                prop_assert_eq!(entry.size(), content.len() as u64);
            }
            prop_assert!(found.is_empty(), "{:?}", found.keys());
        }
    }
}

#[test]
fn deep_folders_are_where_they_belong() {
    let deep: String = (0..20).map(|at| format!("level-{at}/")).collect();
    let files = files(&[
        (&format!("{deep}file"), "deep"),
        (&format!("{deep}more/other"), "deeper"),
        ("level-0/near", "near"),
    ]);
    for writer in WRITERS {
        let mut image = now(Image::open(InMemory(writer.image(&files, &["-R"])), generous())).unwrap();
        assert_eq!(walk(&mut image).unwrap(), files, "{writer:?}");
        let entry = now(image.find(&format!("/{deep}FILE"))).unwrap().unwrap();
        assert_eq!(now(image.read(&entry, 4)).unwrap(), "deep");
    }
    let mut shallow = now(Image::open(
        InMemory(Writer::Xorriso.image(&files, &["-R"])),
        Limits {
            depth: 20,
            ..generous()
        },
    ))
    .unwrap();
    assert!(
        now(shallow.find(&format!("{deep}file")))
            .unwrap_err()
            .to_string()
            .contains("too many")
    );
}

#[test]
fn of_several_sessions_the_newest_counts() {
    let top = tempfile::tempdir().unwrap();
    let (folder, image) = (top.path().join("folder"), top.path().join("image.iso"));
    let device = format!("stdio:{}", image.to_str().unwrap());
    for (label, content) in [("FIRST", "one"), ("SECOND", "two"), ("THIRD", "three")] {
        lay_out(&folder, &files(&[("dir/file", content), (label, content)]));
        let from = folder.to_str().unwrap();
        run(
            "xorriso",
            &[
                "-dev",
                &device,
                "-joliet",
                "on",
                "-update_r",
                from,
                "/",
                "-volid",
                label,
                "-commit",
            ],
        );
        let mut read = now(Image::open(
            InMemory(fs::read(&image).unwrap().into()),
            generous(),
        ))
        .unwrap();
        assert_eq!(read.volume_id(), label);
        for space in [NameSpace::RockRidge, NameSpace::Joliet] {
            assert!(read.use_name_space(space));
            let found = walk(&mut read).unwrap();
            assert_eq!(
                (&found["dir/file"][..], &found[label][..]),
                (content.as_bytes(), content.as_bytes())
            );
        }
    }
}

/// genisoimage leaves it to the burning program to put the newest descriptors first, which no program does for a file.
#[test]
fn a_session_that_is_only_appended_does_not_count() {
    const SECTOR: usize = 2048;
    let top = tempfile::tempdir().unwrap();
    let (folder, first, second) = (
        top.path().join("f"),
        top.path().join("1.iso"),
        top.path().join("2.iso"),
    );
    lay_out(&folder, &files(&[("file", "one")]));
    Writer::Genisoimage.write(&folder, &first, &["-R", "-V", "FIRST"]);
    let mut image = fs::read(&first).unwrap();
    let next = image.len() / SECTOR;
    lay_out(&folder, &files(&[("new", "two")]));
    let sessions = format!("0,{next}");
    let arguments = [
        "-R",
        "-V",
        "SECOND",
        "-C",
        &sessions,
        "-M",
        first.to_str().unwrap(),
    ];
    Writer::Genisoimage.write(&folder, &second, &arguments);
    image.extend(fs::read(&second).unwrap());
    let mut read = now(Image::open(InMemory(image.clone().into()), generous())).unwrap();
    assert_eq!(read.volume_id(), "FIRST");
    assert_eq!(walk(&mut read).unwrap(), files(&[("file", "one")]));
    // What a burning program would do, as far as descriptors go: the second session's say where its directories are.
    image.copy_within((next + 16) * SECTOR..(next + 18) * SECTOR, 16 * SECTOR);
    let mut read = now(Image::open(InMemory(image.into()), generous())).unwrap();
    assert_eq!(read.volume_id(), "SECOND");
    assert_eq!(
        walk(&mut read).unwrap(),
        files(&[("file", "one"), ("new", "two")])
    );
}

/// An image with everything in it that the reader knows.
fn rich() -> &'static Bytes {
    static IMAGE: OnceLock<Bytes> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut files = ironics_files(BootMode::Uefi, "EFI/centos/grub.cfg");
        for path in ["vmlinuz", "initrd", "boot/grub/efiboot.img"] {
            files.insert(path.into(), vec![b'x'; 3000].into());
        }
        let deep: String = (0..12).map(|at| format!("d{at}/")).collect();
        files.insert(format!("{deep}{}", "n".repeat(250)), "deep".into());
        Writer::Genisoimage.image(
            &files,
            &[
                "-R",
                "-J",
                "-V",
                "config-2",
                "-e",
                "boot/grub/efiboot.img",
                "-no-emul-boot",
            ],
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_gives_errors_or_answers_and_few_reads(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..16),
        keep in prop_oneof![3 => Just(1.0), 1 => 0.0..1.0_f64],
        mode in prop_oneof![Just(BootMode::Uefi), Just(BootMode::Legacy)],
    ) {
        let mut bytes = rich().to_vec();
        // Where there is something: descriptors, directories, and what they point at.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (at, byte, bit) in changes {
            let place = &mut bytes[used[at.index(used.len())]];
            *place = if bit { *place ^ (1 << (byte % 8)) } else { byte };
        }
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        let mut counted = Counted(InMemory(bytes.into()), Vec::new());
        let limits = Limits::default();
        let _ = now(examine(&mut counted, mode, limits));
        if let Ok(mut image) = now(Image::open(&mut counted, limits)) {
            for space in image.name_spaces() {
                image.use_name_space(space);
                let _ = walk(&mut image);
            }
        }
        let (read, most) = (&counted.1, limits.read);
        prop_assert!(read.iter().map(|range| range.end - range.start).sum::<u64>() <= 2 * most.bytes);
        prop_assert!(read.len() <= 2 * most.reads as usize);
    }
}

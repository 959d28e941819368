//! Boot media over HTTP: what nodes read of images and scripts, and how much.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::Protocol;
use metalsim::outbound::boot_media::{IronicAccess, MediaReader, MediaSettings};
use metalsim::outbound::web::WebLimits;
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::node::bmc::{BootMode, BootTarget, Media, OverrideEnabled, Secret, TransferMethod};
use metalsim_actors::node::effect::{AgentParameters, BootFailure, BootImage, BootRequest};
use metalsim_actors::node::profile::Architecture;
use metalsim_actors::ports::BootMedia as _;
use metalsim_actors::time::SimInstant;

use crate::world::{PATIENCE, Plan, World};

/// What an image claims to be in size.
const CLAIMED: u64 = 1 << 30;
/// Most bytes that a boot may read.
const MOST_READ: u64 = 1 << 20;

const LIMITS: WebLimits = WebLimits {
    max_in_flight: 16,
    timeout: PATIENCE,
    max_read: MOST_READ,
    max_skipped: 64 << 20,
};

/// How the stub answers for an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manner {
    /// By ranges.
    #[default]
    Ranges,
    /// Always the whole image.
    Whole,
    /// By ranges, but each answer is of another version.
    Changing,
    /// Never.
    Hang,
    /// Ranges other than those asked for.
    WrongRange,
}

#[derive(Default)]
struct Stub {
    /// Files by path; an image goes on with zeros up to its claimed size.
    files: Mutex<HashMap<String, (Bytes, Option<u64>)>>,
    manner: Mutex<Manner>,
    /// `user:password` that is wanted, in base64.
    basic: Mutex<Option<String>>,
    sent: Mutex<HashMap<String, u64>>,
    requests: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    versions: AtomicUsize,
}

impl Stub {
    fn put(&self, path: &str, content: impl Into<Bytes>, size: Option<u64>) {
        let entry = (content.into(), size);
        self.files.lock().unwrap().insert(path.to_owned(), entry);
    }

    fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

/// Counts a request as under way until its answer's body is gone.
struct Mark(web::Data<Stub>);

impl Mark {
    fn new(stub: &web::Data<Stub>) -> Self {
        let now = stub.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        stub.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(stub.clone())
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn stub(request: HttpRequest, stub: web::Data<Stub>) -> HttpResponse {
    let mark = Mark::new(&stub);
    stub.requests
        .lock()
        .unwrap()
        .push(format!("{} {}", request.method(), request.path()));
    let header = |name| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    if let Some(wanted) = &*stub.basic.lock().unwrap()
        && header(header::AUTHORIZATION) != Some(format!("Basic {wanted}"))
    {
        return HttpResponse::Unauthorized().finish();
    }
    let Some((content, size)) = stub.files.lock().unwrap().get(request.path()).cloned() else {
        return HttpResponse::NotFound().finish();
    };
    let size = size.unwrap_or(content.len() as u64);
    let manner = *stub.manner.lock().unwrap();
    let range = header(header::RANGE).filter(|_| manner != Manner::Whole);
    let (start, end) = match &range {
        Some(range) => {
            let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            (
                start.parse::<u64>().unwrap(),
                end.parse::<u64>().unwrap().min(size - 1),
            )
        }
        None => (0, size - 1),
    };
    let mut answer = match manner {
        Manner::Hang => std::future::pending().await,
        _ if range.is_some() => HttpResponse::PartialContent(),
        _ => HttpResponse::Ok(),
    };
    if range.is_some() {
        let shift = u64::from(manner == Manner::WrongRange);
        answer.insert_header((
            header::CONTENT_RANGE,
            format!("bytes {}-{end}/{size}", start + shift),
        ));
    }
    let version = match manner {
        Manner::Changing => stub.versions.fetch_add(1, Ordering::SeqCst),
        _ => 0,
    };
    answer.insert_header((header::ETAG, format!("\"{version}\"")));
    let path = request.path().to_owned();
    // Piece by piece, so that a client that goes away is not sent the rest.
    let pieces = futures_util::stream::unfold((start, mark), move |(at, mark)| {
        let (content, path) = (content.clone(), path.clone());
        async move {
            if at > end {
                return None;
            }
            let length = (end + 1 - at).min(64 << 10);
            let mut piece = vec![0; usize::try_from(length).unwrap()];
            let from = usize::try_from(at).unwrap().min(content.len());
            let to = usize::try_from(at + length).unwrap().min(content.len());
            piece[..to - from].copy_from_slice(&content[from..to]);
            *mark.0.sent.lock().unwrap().entry(path).or_default() += length;
            Some((Ok::<_, actix_web::Error>(Bytes::from(piece)), (at + length, mark)))
        }
    });
    answer.no_chunking(end + 1 - start).streaming(Box::pin(pieces))
}

/// Serves the stub, over TLS if there is a configuration for it; its address.
fn serve(world: &mut World, stub_data: &Arc<Stub>, tls: Option<Arc<rustls::ServerConfig>>) -> String {
    let data = web::Data::from(Arc::clone(stub_data));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = ServerOptions {
        tls,
        ..ServerOptions::new(Protocol::Control)
    };
    let address = world.serve(&options, move |config| {
        config.app_data(data.clone()).default_service(web::to(stub));
    });
    format!("{scheme}://{address}")
}

/// A server of boot media, and nodes' way to it.
struct Site {
    world: World,
    base: String,
    stub: Arc<Stub>,
    reader: MediaReader,
}

impl Site {
    async fn new(limits: WebLimits, access: &IronicAccess) -> Self {
        metalsim::frontend::tls::install_provider();
        let stub_data = Arc::<Stub>::default();
        let mut world = World::start(Plan {
            nodes: 0,
            ..Plan::default()
        })
        .await;
        let base = serve(&mut world, &stub_data, None);
        let settings = MediaSettings {
            fetch: true,
            limits,
            ca_pem: None,
        };
        Self {
            world,
            base,
            stub: stub_data,
            reader: MediaReader::start(settings, access).unwrap(),
        }
    }

    fn cd(&self, path: &str) -> BootRequest {
        BootRequest {
            media: Some(Media {
                image: format!("{}{path}", self.base).into(),
                inserted: true,
                write_protected: true,
                transfer_method: TransferMethod::Stream,
                transfer_protocol: None,
                username: None,
                password: None,
                available_at: SimInstant::START,
            }),
            ..request(BootTarget::Cd)
        }
    }

    fn pxe(&self) -> BootRequest {
        BootRequest {
            interfaces: [MacAddress::derived("n", 0), MacAddress::derived("n", 1)].into(),
            http_root: Some(self.base.as_str().into()),
            ..request(BootTarget::Pxe)
        }
    }

    async fn boot(&self, request: BootRequest) -> Result<BootImage, BootFailure> {
        self.reader.resolve(NodeId::from_name("n"), request).await
    }

    async fn agent(&self, request: BootRequest) -> Arc<AgentParameters> {
        match self.boot(request).await {
            Ok(BootImage::Agent(parameters)) => parameters,
            other => panic!("an agent, not {other:?}"),
        }
    }
}

fn request(target: BootTarget) -> BootRequest {
    BootRequest {
        target,
        enabled: OverrideEnabled::Once,
        mode: BootMode::Uefi,
        interfaces: Box::default(),
        media: None,
        verify_certificate: false,
        parameters_media: None,
        http_boot_uri: None,
        http_root: None,
        system_id: NodeId::from_name("n"),
        architecture: Architecture::X86_64,
    }
}

/// An image as Ironic builds it, with a token of its own.
fn image(token: &str) -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let write = |path: &str, content: &[u8]| {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("vmlinuz", &[1; 100_000]);
    write("initrd", &[2; 300_000]);
    write("boot/grub/efiboot.img", &[3; 50_000]);
    let line = format!(
        "linux /vmlinuz ir_pub_id=x ipa-api-url=http://ironic:6385 ipa-agent-token={token} boot_method=vmedia --"
    );
    write(
        "EFI/BOOT/grub.cfg",
        format!("set default=0\nmenuentry \"install\" {{\n  {line}\n  initrd /initrd\n}}\n").as_bytes(),
    );
    let target = folder.path().join("boot.iso");
    make_iso(&tree, &target);
    std::fs::read(target).unwrap().into()
}

fn make_iso(tree: &Path, target: &Path) {
    let made = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-R", "-V", "VMEDIA_BOOT_ISO", "-o"])
        .args([target, tree])
        .output()
        .expect("xorriso is installed (scripts/test does it)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[actix_web::test]
async fn a_thousand_nodes_read_a_little_of_a_thousand_large_images() {
    const NODES: usize = 1000;
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    let content = image("the-token");
    for node in 0..NODES {
        site.stub
            .put(&format!("/{node}.iso"), content.clone(), Some(CLAIMED));
    }
    let boots = (0..NODES).map(|node| site.agent(site.cd(&format!("/{node}.iso"))));
    for parameters in futures_util::future::join_all(boots).await {
        assert_eq!(parameters.token, Some(Secret::new("the-token")));
        assert_eq!(*parameters.api_urls, ["http://ironic:6385".into()]);
        assert!(parameters.inspection_callback_urls.is_empty());
        assert_eq!(parameters.boot_mac, None, "the medium names no interface");
    }
    let sent = site.stub.sent.lock().unwrap().clone();
    assert_eq!(sent.len(), NODES);
    assert!(
        sent.values().all(|sent| *sent <= MOST_READ),
        "{:?}",
        sent.values().max()
    );
    assert!(site.stub.most_under_way.load(Ordering::SeqCst) <= LIMITS.max_in_flight);
    site.world.stop().await;
}

#[actix_web::test]
async fn a_server_without_ranges_is_cut_off() {
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    site.stub.behaves(Manner::Whole);
    site.stub.put("/a.iso", image("t"), Some(CLAIMED));
    assert_eq!(site.agent(site.cd("/a.iso")).await.token, Some(Secret::new("t")));
    // Sockets hold some of what the client no longer wants.
    let sent = site.stub.sent.lock().unwrap()["/a.iso"];
    assert!(sent < CLAIMED / 8, "{sent} bytes were sent");

    let tight = Site::new(
        WebLimits {
            max_skipped: 1000,
            ..LIMITS
        },
        &IronicAccess::default(),
    )
    .await;
    tight.stub.behaves(Manner::Whole);
    tight.stub.put("/a.iso", image("t"), Some(CLAIMED));
    let failure = tight.boot(tight.cd("/a.iso")).await.unwrap_err();
    assert!(failure.0.contains("more than 1000 bytes"), "{failure}");
    site.world.stop().await;
    tight.world.stop().await;
}

#[actix_web::test]
async fn the_same_url_is_read_anew_for_every_boot() {
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    for token in ["first", "second", "third"] {
        site.stub.put("/a.iso", image(token), None);
        assert_eq!(
            site.agent(site.cd("/a.iso")).await.token,
            Some(Secret::new(token))
        );
    }
    site.world.stop().await;
}

#[actix_web::test]
async fn what_cannot_be_read_is_a_boot_failure_with_its_reason() {
    let limits = WebLimits {
        timeout: Duration::from_millis(300),
        ..LIMITS
    };
    let site = Site::new(limits, &IronicAccess::default()).await;
    let good = image("t");
    site.stub.put("/good.iso", good.clone(), None);
    site.stub.put("/short.iso", good.slice(..40_000), None);
    site.stub.put("/text.iso", "not an image at all", None);
    site.stub.put("/zeros.iso", vec![0; 100_000], Some(CLAIMED));
    for (path, manner, reason) in [
        ("/nothing.iso", Manner::Ranges, "404"),
        ("/short.iso", Manner::Ranges, "ends before"),
        ("/text.iso", Manner::Ranges, ""),
        ("/zeros.iso", Manner::Ranges, ""),
        ("/good.iso", Manner::Hang, "in time"),
        ("/good.iso", Manner::WrongRange, "range"),
        ("/good.iso", Manner::Changing, "changed"),
    ] {
        site.stub.behaves(manner);
        let failure = site.boot(site.cd(path)).await.expect_err(path);
        assert!(failure.0.contains(reason), "{path} {manner:?}: {failure}");
        assert!(failure.0.contains(path), "{failure}");
    }
    site.stub.behaves(Manner::Ranges);
    let mut request = site.cd("/good.iso");
    request.media.as_mut().unwrap().image = "nfs://server/a.iso".into();
    assert!(site.boot(request).await.unwrap_err().0.contains("URL"));
    site.world.stop().await;
}

#[actix_web::test]
async fn credentials_of_the_slot_are_shown_and_kept_out_of_reasons() {
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    site.stub.put("/a.iso", image("t"), None);
    *site.stub.basic.lock().unwrap() = Some("dXNlcjpzM2NyZXQ=".to_owned());
    let refused = site.boot(site.cd("/a.iso?signature=abc")).await.unwrap_err();
    assert!(
        refused.0.contains("401") && !refused.0.contains("signature"),
        "{refused}"
    );
    let mut request = site.cd("/a.iso");
    if let Some(media) = &mut request.media {
        media.username = Some("user".into());
        media.password = Some(Secret::new("s3cret"));
    }
    assert_eq!(site.agent(request).await.token, Some(Secret::new("t")));
    site.world.stop().await;
}

/// What Ironic writes for a node below the HTTP root (ironic: `common/pxe_utils.py`).
fn put_scripts(site: &Site, mac: MacAddress) {
    let folder = mac.to_string().replace(':', "-");
    site.stub.put(
        "/boot.ipxe",
        "#!ipxe\nset netid:int32 -1\n:loop\ninc netid\n\
         isset ${net${netid}/mac} || chain pxelinux.cfg/${mac:hexhyp} || goto error_no_config\n\
         echo Attempting to boot from MAC ${net${netid}/mac:hexhyp}\n\
         chain pxelinux.cfg/${net${netid}/mac:hexhyp} || goto loop\n\
         :error_no_config\nchain inspector.ipxe || goto no_boot\n:no_boot\nexit 1\n",
        None,
    );
    site.stub.put(
        &format!("/pxelinux.cfg/{folder}"),
        format!(
            "#!ipxe\ngoto deploy\n:deploy\nimgfree\n\
             kernel {base}/n/deploy_kernel selinux=0 nofb ipa-insecure=1 ipa-api-url=http://ironic:6385 \
             ipa-global-request-id=req-7 BOOTIF=${{mac}} initrd=deploy_ramdisk || goto retry\n\
             initrd {base}/n/deploy_ramdisk || goto retry\nboot\n\n:retry\nexit 1\n\
             :boot_whole_disk\nsanboot --no-describe\n",
            base = site.base
        ),
        None,
    );
    site.stub.put("/n/deploy_kernel", "kernel", None);
    site.stub.put("/n/deploy_ramdisk", "ramdisk", None);
}

#[actix_web::test]
async fn network_boots_follow_the_scripts() {
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    let (first, second) = (MacAddress::derived("n", 0), MacAddress::derived("n", 1));
    put_scripts(&site, first);
    let parameters = site.agent(site.pxe()).await;
    assert_eq!(*parameters.api_urls, ["http://ironic:6385".into()]);
    assert_eq!(parameters.boot_mac, Some(first));
    assert_eq!(parameters.global_request_id.as_deref(), Some("req-7"));
    assert!(parameters.insecure && parameters.token.is_none());
    let requests = site.stub.requests.lock().unwrap().clone();
    let scripts = [
        "GET /boot.ipxe".to_owned(),
        format!("GET /pxelinux.cfg/{}", first.to_string().replace(':', "-")),
    ];
    assert_eq!(requests[..2], scripts);
    assert!(
        !requests.iter().any(|request| request == "GET /n/deploy_ramdisk"),
        "only whether they are there is asked: {requests:?}"
    );

    // The script of the second interface serves as well.
    site.stub.files.lock().unwrap().clear();
    put_scripts(&site, second);
    assert!(!site.agent(site.pxe()).await.api_urls.is_empty());

    // A missing kernel: the script gives up.
    site.stub.files.lock().unwrap().remove("/n/deploy_kernel");
    assert!(site.boot(site.pxe()).await.is_err());
    site.stub.files.lock().unwrap().clear();
    let failure = site.boot(site.pxe()).await.unwrap_err();
    assert!(
        failure.0.contains("boot.ipxe") && failure.0.contains("404"),
        "{failure}"
    );
    site.world.stop().await;
}

#[actix_web::test]
async fn an_unknown_machine_gets_the_fall_back_script_and_the_settings() {
    let access = IronicAccess {
        api_url: Some("http://fallback:6385".into()),
        ..IronicAccess::default()
    };
    let site = Site::new(LIMITS, &access).await;
    put_scripts(&site, MacAddress::derived("another", 0));
    site.stub.put(
        "/inspector.ipxe",
        "#!ipxe\n:retry_boot\nimgfree\nkernel --timeout 60000 /ipa.kernel nofb BOOTIF=${mac} initrd=ipa.initramfs || goto retry_boot\n\
         initrd --timeout 60000 /ipa.initramfs || goto retry_boot\nboot\n",
        None,
    );
    site.stub.put("/ipa.kernel", "kernel", None);
    site.stub.put("/ipa.initramfs", "ramdisk", None);
    let parameters = site.agent(site.pxe()).await;
    assert_eq!(*parameters.api_urls, ["http://fallback:6385".into()]);
    assert_eq!(parameters.boot_mac, Some(MacAddress::derived("n", 0)));
    site.world.stop().await;
}

#[actix_web::test]
async fn scripts_that_never_end_are_stopped() {
    let site = Site::new(LIMITS, &IronicAccess::default()).await;
    for endless in [
        "#!ipxe\n:again\ngoto again\n",
        "#!ipxe\nchain boot.ipxe\n",
        "#!ipxe\n:again\nchain missing || goto again\n",
    ] {
        site.stub.put("/boot.ipxe", endless, None);
        assert!(site.boot(site.pxe()).await.is_err(), "{endless}");
    }
    site.stub.put("/boot.ipxe", vec![b'x'; 4 << 20], None);
    assert!(site.boot(site.pxe()).await.unwrap_err().0.contains("more than"));
    site.stub
        .put("/boot.ipxe", "#!ipxe\nsanboot --no-describe\n", None);
    assert!(matches!(site.boot(site.pxe()).await, Ok(BootImage::Disk)));
    site.world.stop().await;
}

#[actix_web::test]
async fn a_server_is_verified_where_the_slot_asks_for_it() {
    let mut site = Site::new(LIMITS, &IronicAccess::default()).await;
    site.stub.put("/a.iso", image("t"), None);
    let own = metalsim::frontend::tls::self_signed(&["127.0.0.1".to_owned()]).unwrap();
    let base = serve(&mut site.world, &site.stub, Some(own.config));
    let request = |verify_certificate| {
        let mut request = site.cd("/a.iso");
        if let Some(media) = &mut request.media {
            media.image = format!("{base}/a.iso").into();
        }
        BootRequest {
            verify_certificate,
            ..request
        }
    };
    assert_eq!(site.agent(request(false)).await.token, Some(Secret::new("t")));
    let refused = site.boot(request(true)).await.unwrap_err();
    assert!(refused.0.to_lowercase().contains("certificate"), "{refused}");
    let settings = MediaSettings {
        fetch: true,
        limits: LIMITS,
        ca_pem: Some(own.pem),
    };
    let trusting = MediaReader::start(settings, &IronicAccess::default()).unwrap();
    let booted = trusting.resolve(NodeId::from_name("n"), request(true)).await;
    assert!(matches!(booted, Ok(BootImage::Agent(_))), "{booted:?}");
    site.world.stop().await;
}

//! How the controllers of a management cluster reach a workload cluster: with the client certificate of `<cluster>-kubeconfig`, over one
//! HTTP/2 connection for requests and watches (client-go: `rest`, controller-runtime: `pkg/client`).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use metalsim::clock;
use metalsim::cluster::pki::{Authority, Issued};
use metalsim::forge;
use metalsim_actors::kube::schema::protobuf::{MEDIA_TYPE, encode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::kube::raw::Reply;
use crate::world::PATIENCE;

/// What a typed client of controller-runtime takes.
const TYPED: &str = "application/vnd.kubernetes.protobuf, */*";
/// What discovery asks for.
pub(crate) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// The chain and the key of a client, as rustls takes them.
pub(crate) fn credentials(client: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = client.key.to_pem().unwrap();
    (
        vec![client.certificate.clone()],
        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
    )
}

/// The certificates of an authority, to be trusted.
pub(crate) fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in authority.certificates() {
        roots.add(certificate.clone()).unwrap();
    }
    roots
}

/// Where a cluster is, and what it takes for an administrator.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Access {
    /// What is in the Secret `<cluster>-kubeconfig` (cluster-api: `util/kubeconfig/kubeconfig.go`).
    pub(crate) fn of(cluster: &forge::Cluster) -> Self {
        let authority = cluster.authorities.cluster_authority().unwrap();
        let year = chrono::Duration::days(365);
        let client = authority
            .issue_client("kubernetes-admin", &["system:masters"], clock::wall(), year)
            .unwrap();
        let (chain, key) = credentials(&client);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&authority))
            .with_client_auth_cert(chain, key)
            .unwrap();
        Self {
            address: cluster.settings.endpoint.to_string().parse().unwrap(),
            config: Arc::new(config),
        }
    }

    /// A new connection that offers these protocols.
    pub(crate) async fn connect(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::IpAddress(self.address.ip().into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A client of an API server.
#[derive(Clone)]
pub(crate) struct Api {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
}

impl Api {
    pub(crate) async fn connect(access: &Access) -> Self {
        let stream = access.connect(&[b"h2", b"http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            // It ends with the server, or with the test.
            drop(connection.await);
        });
        Self {
            sender,
            address: access.address,
        }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<http::Response<RecvStream>, h2::Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("accept", accept)
            .header("user-agent", "manager/v1.14.0 (linux/amd64) cluster.x-k8s.io");
        if let Some((content_type, _)) = &body {
            request = request.header("content-type", *content_type);
        }
        let request = request.body(()).unwrap();
        let answered = async {
            let mut sender = self.sender.clone().ready().await?;
            let (response, mut stream) = sender.send_request(request, body.is_none())?;
            if let Some((_, bytes)) = body {
                stream.send_data(bytes.into(), true)?;
            }
            response.await
        };
        tokio::time::timeout(PATIENCE, answered)
            .await
            .expect("no answer came")
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Reply {
        let response = self.ask(method, path, accept, body).await.unwrap();
        let (head, mut stream) = response.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(data) = stream.data().await {
            let data = data.unwrap();
            stream.flow_control().release_capacity(data.len()).unwrap();
            bytes.extend_from_slice(&data);
        }
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Reply {
            code: head.status.as_u16(),
            headers: headers.collect(),
            body: bytes.freeze(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, TYPED, None).await
    }

    /// An object that is there.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.headers["content-type"], "application/json", "{path}");
        reply.must(200)
    }

    /// A request with a body in protobuf, as typed clients send all but patches.
    pub(crate) async fn typed(&self, method: &str, path: &str, body: &Value) -> Reply {
        let text = |key: &str| body[key].as_str().unwrap();
        let bytes = encode(text("apiVersion"), text("kind"), body.as_object().unwrap()).unwrap();
        self.send(method, path, TYPED, Some((MEDIA_TYPE, bytes))).await
    }

    /// `kind`: `merge`, `strategic-merge`. A patch is JSON, whatever the client.
    pub(crate) async fn patch(&self, kind: &str, path: &str, body: &Value) -> Reply {
        let content_type = format!("application/{kind}-patch+json");
        let body = body.to_string().into_bytes();
        self.send("PATCH", path, TYPED, Some((&content_type, body))).await
    }

    /// Deletes as typed clients do, with options in protobuf.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        let options = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        self.typed("DELETE", path, &options).await
    }
}

/// What an informer has seen.
#[derive(Default)]
struct Seen {
    objects: BTreeMap<String, Value>,
    version: String,
    synced: bool,
    failure: Option<String>,
}

/// A list that is kept up to date: a WatchList first, then watches from where the last one ended (client-go: `tools/cache/reflector.go`).
pub(crate) struct Informer {
    seen: Arc<Mutex<Seen>>,
    task: AbortHandle,
}

impl Informer {
    /// `path`: a collection with its query, if it has one. Returns when all that is there has come.
    pub(crate) async fn start(api: &Api, path: &str) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (api, kept, base) = (api.clone(), Arc::clone(&seen), path.to_owned());
        let task = tokio::spawn(async move {
            let failure = loop {
                if let Err(failure) = follow(&api, &base, &kept).await {
                    break failure;
                }
            };
            kept.lock().unwrap().failure = Some(failure);
        });
        let informer = Self {
            seen,
            task: task.abort_handle(),
        };
        crate::world::until(path, || async { informer.with(|seen| seen.synced) }).await;
        informer
    }

    fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.failure, None);
        look(&seen)
    }

    /// An object, `null` if it is not there.
    pub(crate) fn find(&self, name: &str) -> Value {
        self.with(|seen| seen.objects.get(name).cloned().unwrap_or_default())
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One watch to its end.
async fn follow(api: &Api, base: &str, seen: &Mutex<Seen>) -> Result<(), String> {
    let (synced, version) = {
        let seen = seen.lock().unwrap();
        (seen.synced, seen.version.clone())
    };
    let from = if synced {
        format!("resourceVersion={version}")
    } else {
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned()
    };
    let separator = if base.contains('?') { '&' } else { '?' };
    let path = format!("{base}{separator}watch=true&allowWatchBookmarks=true&timeoutSeconds=480&{from}");
    let response = api.ask("GET", &path, TYPED, None).await;
    let response = response.map_err(|error| error.to_string())?;
    if response.status() != 200 {
        return Err(format!("{path}: {}", response.status()));
    }
    let (mut body, mut text) = (response.into_body(), BytesMut::new());
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| error.to_string())?;
        let released = body.flow_control().release_capacity(data.len());
        released.map_err(|error| error.to_string())?;
        text.extend_from_slice(&data);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line = text.split_to(end + 1);
            let event: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            take(&mut seen.lock().unwrap(), &event)?;
        }
    }
    Ok(())
}

/// Takes an event. What comes must carry its kind, and versions must rise.
fn take(seen: &mut Seen, event: &Value) -> Result<(), String> {
    let object = &event["object"];
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default().to_owned();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let version = metadata["resourceVersion"].as_str().unwrap_or_default();
    if object["kind"].is_null() || object["apiVersion"].is_null() || version.is_empty() {
        return Err(format!("an object without its kind or version: {event}"));
    }
    // Those that were there before come in the order of their names.
    if seen.synced && number(version) < number(&seen.version) {
        return Err(format!("a version older than {}: {event}", seen.version));
    }
    seen.version = version.to_owned();
    match event["type"].as_str() {
        Some("ADDED" | "MODIFIED") => drop(seen.objects.insert(name, object.clone())),
        Some("DELETED") => drop(seen.objects.remove(&name)),
        Some("BOOKMARK") => {
            let end = &metadata["annotations"]["k8s.io/initial-events-end"];
            seen.synced |= end == "true";
        }
        _ => return Err(event.to_string()),
    }
    Ok(())
}

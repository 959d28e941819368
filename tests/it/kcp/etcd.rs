//! KCP's client of etcd: gRPC over TLS over a forwarded port (cluster-api: `controlplane/kubeadm/internal/etcd/etcd.go`,
//! `etcd_client_generator.go`).

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use metalsim::clock;
use metalsim::cluster::pki::Authority;
use metalsim::forge;
use prost::Message;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::access::{Access, credentials, roots};
use super::tunnel::{Way, dial};
use crate::world::PATIENCE;

/// Port of etcd.
const PORT: u16 = 2379;

/// Who answers.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Header {
    #[prost(uint64, tag = "1")]
    pub(crate) cluster_id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) member_id: u64,
    #[prost(int64, tag = "3")]
    pub(crate) revision: i64,
    #[prost(uint64, tag = "4")]
    pub(crate) raft_term: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Member {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(crate) is_learner: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct MemberList {
    #[prost(message, required, tag = "1")]
    pub(crate) header: Header,
    #[prost(message, repeated, tag = "2")]
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Status {
    #[prost(message, required, tag = "1")]
    pub(crate) header: Header,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(int64, tag = "3")]
    pub(crate) db_size: i64,
    #[prost(uint64, tag = "4")]
    pub(crate) leader: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) raft_index: u64,
    #[prost(string, repeated, tag = "8")]
    pub(crate) errors: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Alarms {
    #[prost(message, required, tag = "1")]
    pub(crate) header: Header,
    #[prost(message, repeated, tag = "2")]
    pub(crate) alarms: Vec<Alarm>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Alarm {
    #[prost(uint64, tag = "1")]
    pub(crate) member_id: u64,
    #[prost(int32, tag = "2")]
    pub(crate) alarm: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Linearizable {
    #[prost(bool, tag = "1")]
    linearizable: bool,
}

/// A request about one member: `ID` of MemberRemove, `targetID` of MoveLeader.
#[derive(Clone, PartialEq, Eq, Message)]
struct About {
    #[prost(uint64, tag = "1")]
    id: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Empty {}

/// What is in `<cluster>-etcd`: enough to sign a client certificate.
pub(crate) struct Keys(Arc<ClientConfig>);

impl Keys {
    pub(crate) fn of(cluster: &forge::Cluster) -> Self {
        let pair = &cluster.authorities.etcd;
        let authority = Authority::from_pem(&pair.public, Some(pair.private.expose())).unwrap();
        Self::signed_by(&authority, &authority)
    }

    /// A client that trusts one authority and is known to another.
    pub(crate) fn signed_by(trusted: &Authority, signer: &Authority) -> Self {
        let years = chrono::Duration::days(3650);
        let client = signer
            .issue_client("cluster-api.x-k8s.io", &[], clock::wall(), years)
            .unwrap();
        let (chain, key) = credentials(&client);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(trusted)), Arc::clone(&provider));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName(verifier.build().unwrap())))
            .with_client_auth_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(Arc::new(config))
    }
}

/// Checks the chain, and not the name: the name of the pod is in no certificate (cluster-api 1.14: `controlplane/kubeadm/pkg/cluster.go`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match self.0.verify_server_cert(own, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// A failed call: gRPC's code and message.
pub(crate) type Failure = (u32, String);

/// A client of one member.
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    pod: String,
    /// What the member said when the client was made.
    pub(crate) status: Status,
}

impl Client {
    /// A client of the member on a node. Like etcd's own client, it opens a second connection for the status of its endpoint.
    pub(crate) async fn of(access: &Access, keys: &Keys, node: &str, way: Way) -> Result<Self, String> {
        let pod = format!("etcd-{node}");
        let sender = connect(access, keys, &pod, way).await?;
        let endpoint = connect(access, keys, &pod, way).await?;
        let status = call(&endpoint, &pod, "Maintenance/Status", &Empty {}).await;
        Ok(Self {
            status: status.map_err(|(code, message)| format!("{code}: {message}"))?,
            sender,
            pod,
        })
    }

    pub(crate) async fn members(&self) -> Result<MemberList, Failure> {
        let asked = Linearizable { linearizable: true };
        call(&self.sender, &self.pod, "Cluster/MemberList", &asked).await
    }

    pub(crate) async fn alarms(&self) -> Result<Alarms, Failure> {
        // The action is GET.
        call(&self.sender, &self.pod, "Maintenance/Alarm", &Empty {}).await
    }

    pub(crate) async fn move_leader(&self, id: u64) -> Result<(), Failure> {
        let moved: Result<Empty, _> =
            call(&self.sender, &self.pod, "Maintenance/MoveLeader", &About { id }).await;
        moved.map(drop)
    }

    pub(crate) async fn remove(&self, id: u64) -> Result<MemberList, Failure> {
        call(&self.sender, &self.pod, "Cluster/MemberRemove", &About { id }).await
    }
}

async fn connect(access: &Access, keys: &Keys, pod: &str, way: Way) -> Result<SendRequest<Bytes>, String> {
    let stream = dial(access, pod, PORT, way)
        .await
        .map_err(|refused| format!("{}: {}", refused.code, refused.status["message"]))?;
    let name = ServerName::try_from(pod.to_owned()).unwrap();
    let connecting = TlsConnector::from(Arc::clone(&keys.0)).connect(name, stream);
    let stream = tokio::time::timeout(PATIENCE, connecting).await;
    let stream = stream.expect("no handshake").map_err(|error| error.to_string())?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = h2::client::handshake(stream)
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // It ends with the member, or with the test.
        drop(connection.await);
    });
    sender.ready().await.map_err(|error| error.to_string())
}

/// One unary call (gRPC: `PROTOCOL-HTTP2.md`).
async fn call<A: Message, T: Message + Default>(
    sender: &SendRequest<Bytes>,
    authority: &str,
    method: &str,
    asked: &A,
) -> Result<T, Failure> {
    let calling = async {
        let request = http::Request::post(format!("https://{authority}/etcdserverpb.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "15S")
            .header("client-api-version", "3.6.7")
            .body(())
            .unwrap();
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(asked.encoded_len().try_into().unwrap());
        asked.encode(&mut body).unwrap();
        let unavailable = |error: h2::Error| (14, error.to_string());
        let mut sender = sender.clone().ready().await.map_err(unavailable)?;
        let (response, mut stream) = sender.send_request(request, false).map_err(unavailable)?;
        stream.send_data(body.freeze(), true).map_err(unavailable)?;
        let (head, mut stream) = response.await.map_err(unavailable)?.into_parts();
        assert_eq!(head.status, 200);
        let mut bytes = BytesMut::new();
        while let Some(data) = stream.data().await {
            let data = data.map_err(unavailable)?;
            stream.flow_control().release_capacity(data.len()).unwrap();
            bytes.extend_from_slice(&data);
        }
        let trailers = stream.trailers().await.map_err(unavailable)?;
        let trailers = trailers.unwrap_or(head.headers);
        let text = |name: &str| {
            let value = trailers.get(name).map(|value| value.to_str().unwrap());
            let value = value.unwrap_or_default();
            percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .unwrap()
                .into_owned()
        };
        match text("grpc-status").parse() {
            Ok(0) => {
                assert_eq!(bytes.get_u8(), 0, "it is packed");
                assert_eq!(usize::try_from(bytes.get_u32()).unwrap(), bytes.len());
                Ok(T::decode(bytes).unwrap())
            }
            Ok(code) => Err((code, text("grpc-message"))),
            Err(_) => panic!("no grpc-status: {trailers:?}"),
        }
    };
    tokio::time::timeout(PATIENCE, calling)
        .await
        .expect("no answer came")
}

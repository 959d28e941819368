//! The calls that Cluster API and etcdctl make (etcd: `api/etcdserverpb/rpc.proto`): Cluster, Maintenance and reading of KV. All
//! others are Unimplemented.
//!
//! Membership is the cluster's ([`metalsim_actors::kube::etcd::Etcd`]); the keys are the cluster's objects, `/registry/<resource>/<key>`, their
//! values JSON, where a real API server stores protobuf.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::etcd::{Alarm, Etcd, EtcdError, MemberId};
use metalsim_actors::kube::store::Store;
use metalsim_actors::shell::ClusterRef;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::messages as wire;
use crate::clock::Stopwatch;
use crate::cluster::simulated::SimulatedCluster;
use crate::observer::Protocol;

/// Version that members show.
const VERSION: &str = "3.6.5";
/// Form of the data file.
const STORAGE_VERSION: &str = "3.6.0";
/// `--quota-backend-bytes`, etcd's default.
const QUOTA: i64 = 2 * 1024 * 1024 * 1024;
/// Bytes of an empty data file.
const EMPTY_FILE: u64 = 20 * 1024;
/// A page of the data file.
const PAGE: u64 = 4096;
/// Most keys of one answer, whatever the client asks for.
const KEYS_MAX: usize = 10_000;

/// One member of a cluster's etcd.
#[derive(Clone)]
pub struct Member {
    simulated: Arc<SimulatedCluster>,
    node: Box<str>,
    id: MemberId,
}

/// The calls that are counted each by itself: those that are served.
pub const CALLS: [&str; 10] = [
    "/etcdserverpb.Cluster/MemberList",
    "/etcdserverpb.Cluster/MemberAdd",
    "/etcdserverpb.Cluster/MemberRemove",
    "/etcdserverpb.Cluster/MemberPromote",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Alarm",
    "/etcdserverpb.Maintenance/MoveLeader",
    "/etcdserverpb.Maintenance/Defragment",
    "/etcdserverpb.Maintenance/HashKV",
    "/etcdserverpb.KV/Range",
];

impl Member {
    /// The member with this id, on this node.
    #[must_use]
    pub fn new(simulated: Arc<SimulatedCluster>, node: &str, id: MemberId) -> Self {
        Self {
            simulated,
            node: node.into(),
            id,
        }
    }

    fn cluster(&self) -> &ClusterRef {
        self.simulated.cluster()
    }
}

/// Serves gRPC on a stream until the client ends it.
///
/// # Errors
/// When the client does not speak HTTP/2.
pub async fn serve<Io>(member: Member, stream: Io) -> Result<(), hyper::Error>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(member))
        .await
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Service<Request<hyper::body::Incoming>> for Member {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<hyper::body::Incoming>) -> Answer {
        let template = CALLS.into_iter().find(|path| *path == request.uri().path());
        let route = self
            .simulated
            .requests()
            .route(Protocol::Etcd, request.method().as_str(), template);
        let watch = Stopwatch::start();
        let late = self.simulated.etcd_delay(&self.node);
        let answer = self.serve(request);
        Box::pin(async move {
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
            let answer = answer.await?;
            route.answered(http_status(answer.headers()), watch.elapsed());
            Ok(answer)
        })
    }
}

/// The HTTP status for what gRPC says in the head: an answer that begins well ends well here (grpc-gateway:
/// `runtime/errors.go`).
fn http_status(headers: &http::HeaderMap) -> u16 {
    match Status::from_header_map(headers).map(|status| status.code()) {
        None | Some(Code::Ok) => 200,
        Some(
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss,
        ) => 500,
        Some(_) => 400,
    }
}

impl Member {
    fn serve(&self, request: Request<hyper::body::Incoming>) -> Answer {
        let member = self.clone();
        match request.uri().path() {
            "/etcdserverpb.Cluster/MemberList" => {
                unary(request, async move |asked: wire::MemberListRequest| {
                    member.member_list(asked)
                })
            }
            "/etcdserverpb.Cluster/MemberAdd" => {
                unary(request, async move |asked: wire::MemberAddRequest| {
                    member.member_add(asked).await
                })
            }
            "/etcdserverpb.Cluster/MemberRemove" => {
                unary(request, async move |asked: wire::MemberIdRequest| {
                    member
                        .change_members(move |cluster, now| {
                            cluster.remove_etcd_member(MemberId(asked.id), now)
                        })
                        .await
                })
            }
            "/etcdserverpb.Cluster/MemberPromote" => {
                unary(request, async move |asked: wire::MemberIdRequest| {
                    member
                        .change_members(move |cluster, _| {
                            let etcd = cluster.etcd_mut().ok_or(EtcdError::Stopped)?;
                            etcd.promote(MemberId(asked.id))
                        })
                        .await
                })
            }
            "/etcdserverpb.Maintenance/Status" => unary(request, async move |_: wire::Empty| member.status()),
            "/etcdserverpb.Maintenance/Alarm" => unary(request, async move |asked: wire::AlarmRequest| {
                member.alarm(asked).await
            }),
            "/etcdserverpb.Maintenance/MoveLeader" => {
                unary(request, async move |asked: wire::MoveLeaderRequest| {
                    member.move_leader(asked).await
                })
            }
            "/etcdserverpb.Maintenance/Defragment" => unary(request, async move |_: wire::Empty| {
                member.read(|etcd, store| {
                    Ok(wire::HeaderResponse {
                        header: Some(member.header(etcd, store)),
                    })
                })
            }),
            "/etcdserverpb.Maintenance/HashKV" => unary(request, async move |asked: wire::HashKvRequest| {
                member.hash_kv(asked)
            }),
            "/etcdserverpb.KV/Range" => unary(request, async move |asked: wire::RangeRequest| {
                member.range(&asked)
            }),
            path => {
                let status = Status::unimplemented(format!("unknown method {path}"));
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}

/// One call with one request and one answer.
fn unary<Asked, Told, F, Fut>(request: Request<hyper::body::Incoming>, handle: F) -> Answer
where
    Asked: Message + Default + Send + 'static,
    Told: Message + Default + Send + 'static,
    F: FnOnce(Asked) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Told, Status>> + Send + 'static,
{
    Box::pin(async move {
        let mut handle = Some(handle);
        let method = service_fn(move |asked: tonic::Request<Asked>| {
            let answer = handle.take().map(|handle| handle(asked.into_inner()));
            async move {
                match answer {
                    Some(answer) => answer.await.map(tonic::Response::new),
                    None => Err(Status::internal("called twice")),
                }
            }
        });
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<Told, Asked>::default());
        Ok(grpc.unary(method, request).await)
    })
}

/// etcd's errors with their gRPC codes (etcd: `api/v3rpc/rpctypes/error.go`).
fn refused(error: EtcdError) -> Status {
    let code = match error {
        EtcdError::MemberNotFound => Code::NotFound,
        EtcdError::NoLeader | EtcdError::Stopped => Code::Unavailable,
        EtcdError::NotLeader
        | EtcdError::BadLeaderTransferee
        | EtcdError::NotLearner
        | EtcdError::TooManyLearners
        | EtcdError::PeerUrlExists
        | EtcdError::UnhealthyCluster => Code::FailedPrecondition,
    };
    Status::new(code, error.to_string())
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Member {
    /// Looks at the cluster, as this member if it runs.
    fn read<T>(&self, look: impl FnOnce(&Etcd, &Store) -> Result<T, Status>) -> Result<T, Status> {
        let now = self.cluster().now();
        self.cluster().read(|cluster| {
            let etcd = cluster.etcd_at(now).ok_or_else(|| refused(EtcdError::Stopped))?;
            let runs = etcd.members().any(|(id, member)| id == self.id && member.running);
            if !runs {
                return Err(refused(EtcdError::Stopped));
            }
            look(&etcd, &cluster.store)
        })
    }

    /// Changes etcd.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Etcd) -> Result<T, EtcdError> + Send + 'static,
    ) -> Result<T, Status> {
        self.write_cluster(move |cluster, _| change(cluster.etcd_mut().ok_or(EtcdError::Stopped)?))
            .await
    }

    /// Changes the cluster.
    async fn write_cluster<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Cluster, DateTime<Utc>) -> Result<T, EtcdError> + Send + 'static,
    ) -> Result<T, Status> {
        self.read(|_, _| Ok(()))?;
        self.cluster()
            .write(change)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?
            .map_err(refused)
    }

    fn header(&self, etcd: &Etcd, store: &Store) -> wire::ResponseHeader {
        wire::ResponseHeader {
            cluster_id: etcd.cluster_id(),
            member_id: self.id.0,
            revision: int(store.version()),
            raft_term: etcd.term(),
        }
    }

    fn member_list(&self, asked: wire::MemberListRequest) -> Result<wire::MembersResponse, Status> {
        self.read(|etcd, store| {
            if asked.linearizable && etcd.leader().is_none() {
                return Err(refused(EtcdError::NoLeader));
            }
            Ok(wire::MembersResponse {
                header: Some(self.header(etcd, store)),
                members: members(etcd),
            })
        })
    }

    async fn change_members(
        &self,
        change: impl FnOnce(&mut Cluster, DateTime<Utc>) -> Result<(), EtcdError> + Send + 'static,
    ) -> Result<wire::MembersResponse, Status> {
        self.write_cluster(change).await?;
        // It may just have removed itself: it still answers this call.
        self.cluster().read(|cluster| {
            let etcd = cluster.etcd().ok_or_else(|| refused(EtcdError::Stopped))?;
            Ok(wire::MembersResponse {
                header: Some(self.header(etcd, &cluster.store)),
                members: members(etcd),
            })
        })
    }

    async fn member_add(&self, asked: wire::MemberAddRequest) -> Result<wire::MemberAddResponse, Status> {
        let url = asked
            .peer_urls
            .into_iter()
            .next()
            .ok_or_else(|| Status::invalid_argument("etcdserver: given member URLs are invalid"))?;
        let id = self.write(move |etcd| etcd.add(&url, asked.is_learner)).await?;
        self.read(|etcd, store| {
            let members = members(etcd);
            Ok(wire::MemberAddResponse {
                header: Some(self.header(etcd, store)),
                member: members.iter().find(|member| member.id == id.0).cloned(),
                members,
            })
        })
    }

    fn status(&self) -> Result<wire::StatusResponse, Status> {
        self.read(|etcd, store| {
            let index = etcd.index(store.version());
            let objects = u64::try_from(store.len()).unwrap_or(u64::MAX);
            // Roughly a page for each object, and for old revisions until they are compacted.
            let used = EMPTY_FILE.saturating_add(objects.saturating_mul(PAGE / 2));
            let old = store.version().saturating_sub(store.oldest_version());
            let size = used.saturating_add(old.saturating_mul(PAGE / 4)).div_ceil(PAGE) * PAGE;
            let learner = etcd.members().any(|(id, member)| id == self.id && member.learner);
            let mut errors: Vec<String> = etcd
                .alarms()
                .map(|(id, alarm)| format!("memberID:{} alarm:{} ", id.0, alarm_word(alarm)))
                .collect();
            if etcd.leader().is_none() {
                errors.push("etcdserver: no leader".to_owned());
            }
            Ok(wire::StatusResponse {
                header: Some(self.header(etcd, store)),
                version: VERSION.to_owned(),
                db_size: int(size),
                leader: etcd.leader().map_or(0, |id| id.0),
                raft_index: index,
                raft_term: etcd.term(),
                raft_applied_index: index,
                errors,
                db_size_in_use: int(used.div_ceil(PAGE) * PAGE),
                is_learner: learner,
                storage_version: STORAGE_VERSION.to_owned(),
                db_size_quota: QUOTA,
            })
        })
    }

    async fn alarm(&self, asked: wire::AlarmRequest) -> Result<wire::AlarmResponse, Status> {
        let wanted = match asked.alarm {
            1 => Some(Alarm::NoSpace),
            2 => Some(Alarm::Corrupt),
            _ => None,
        };
        // Who raises or clears alarms is told which, not what is left (etcd: `server/etcdserver/apply.go`, `Alarm`).
        let told = match asked.action {
            0 => self.read(|etcd, _| Ok(etcd.alarms().collect::<Vec<_>>()))?,
            1 => {
                self.write(move |etcd| {
                    let raised = wanted.map(|alarm| (MemberId(asked.member_id), alarm));
                    if let Some((id, alarm)) = raised {
                        etcd.set_alarm(id, alarm, true);
                    }
                    Ok(raised.into_iter().collect())
                })
                .await?
            }
            _ => {
                self.write(move |etcd| {
                    let cleared: Vec<(MemberId, Alarm)> = etcd
                        .alarms()
                        .filter(|(id, alarm)| {
                            (asked.member_id == 0 || id.0 == asked.member_id)
                                && wanted.is_none_or(|wanted| wanted == *alarm)
                        })
                        .collect();
                    for (id, alarm) in &cleared {
                        etcd.set_alarm(*id, *alarm, false);
                    }
                    Ok(cleared)
                })
                .await?
            }
        };
        self.read(|etcd, store| {
            let alarms = told.into_iter().map(|(id, alarm)| wire::AlarmMember {
                member_id: id.0,
                alarm: match alarm {
                    Alarm::NoSpace => 1,
                    Alarm::Corrupt => 2,
                },
            });
            Ok(wire::AlarmResponse {
                header: Some(self.header(etcd, store)),
                alarms: alarms.collect(),
            })
        })
    }

    async fn move_leader(&self, asked: wire::MoveLeaderRequest) -> Result<wire::HeaderResponse, Status> {
        let callee = self.id;
        self.write(move |etcd| etcd.move_leader(callee, MemberId(asked.target_id)))
            .await?;
        self.read(|etcd, store| {
            Ok(wire::HeaderResponse {
                header: Some(self.header(etcd, store)),
            })
        })
    }

    fn hash_kv(&self, asked: wire::HashKvRequest) -> Result<wire::HashKvResponse, Status> {
        self.read(|etcd, store| {
            let revision = if asked.revision > 0 {
                asked.revision
            } else {
                int(store.version())
            };
            // Members hold the same, so the same for all is all that it has to be.
            let seed = etcd.cluster_id() ^ revision.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Ok(wire::HashKvResponse {
                header: Some(self.header(etcd, store)),
                hash: u32::try_from(seed >> 32).unwrap_or_default(),
                compact_revision: int(store.oldest_version()),
                hash_revision: revision,
            })
        })
    }

    fn range(&self, asked: &wire::RangeRequest) -> Result<wire::RangeResponse, Status> {
        self.read(|etcd, store| {
            if !asked.serializable && etcd.leader().is_none() {
                return Err(refused(EtcdError::NoLeader));
            }
            let inside = |key: &[u8]| match asked.range_end.as_slice() {
                [] => key == asked.key,
                [0] => key >= asked.key.as_slice(),
                end => key >= asked.key.as_slice() && key < end,
            };
            let limit = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0);
            let limit = limit.unwrap_or(KEYS_MAX).min(KEYS_MAX);
            let (mut kvs, mut count) = (Vec::new(), 0_i64);
            for (id, object) in store.everything() {
                let Some(resource) = store.registry().by_id(id) else {
                    continue;
                };
                let place = resource.key(object.namespace(), object.name());
                let key = format!("/registry/{}/{place}", resource.plural).into_bytes();
                if !inside(&key) {
                    continue;
                }
                count += 1;
                if asked.count_only || kvs.len() >= limit {
                    continue;
                }
                let mut value = Vec::new();
                if !asked.keys_only {
                    let version = resource.storage_version();
                    metalsim_actors::kube::convert::write_json(resource, version, object, true, &mut value);
                }
                kvs.push(wire::KeyValue {
                    key,
                    create_revision: int(object.resource_version),
                    mod_revision: int(object.resource_version),
                    version: 1,
                    value,
                });
            }
            kvs.sort_by(|one, other| one.key.cmp(&other.key));
            let told = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
            Ok(wire::RangeResponse {
                header: Some(self.header(etcd, store)),
                more: !asked.count_only && count > told,
                kvs,
                count,
            })
        })
    }
}

fn alarm_word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::NoSpace => "NOSPACE",
        Alarm::Corrupt => "CORRUPT",
    }
}

fn members(etcd: &Etcd) -> Vec<wire::Member> {
    let urls = |urls: &[Box<str>]| urls.iter().map(ToString::to_string).collect();
    etcd.members()
        .map(|(id, member)| wire::Member {
            id: id.0,
            name: member.name.to_string(),
            peer_urls: urls(&member.peer_urls),
            client_urls: urls(&member.client_urls),
            is_learner: member.learner,
        })
        .collect()
}

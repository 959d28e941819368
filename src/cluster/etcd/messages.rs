//! Messages of etcd's API that its clients send to a cluster of Kubernetes (etcd: `api/etcdserverpb/rpc.proto`, `api/mvccpb/kv.proto`).
//!
//! Field numbers are etcd's; fields that nobody reads are left out.

use prost::Message;

/// Who answers, and where the store is.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct ResponseHeader {
    /// Identity of the cluster.
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// Identity of the member that answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// Revision of the store.
    #[prost(int64, tag = "3")]
    pub revision: i64,
    /// Term of the leader.
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Member {
    /// Identity.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Name, empty until it has started.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where members reach it.
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    /// It does not vote.
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

/// `Cluster.MemberList`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct MemberListRequest {
    /// Only the leader may answer.
    #[prost(bool, tag = "1")]
    pub linearizable: bool,
}

/// Answer of all calls that end with the list of members.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MembersResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// All members.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

/// `Cluster.MemberAdd`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MemberAddRequest {
    /// Where members will reach it.
    #[prost(string, repeated, tag = "1")]
    pub peer_urls: Vec<String>,
    /// It does not vote at first.
    #[prost(bool, tag = "2")]
    pub is_learner: bool,
}

/// Answer of `Cluster.MemberAdd`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct MemberAddResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The new member.
    #[prost(message, optional, tag = "2")]
    pub member: Option<Member>,
    /// All members.
    #[prost(message, repeated, tag = "3")]
    pub members: Vec<Member>,
}

/// `Cluster.MemberRemove` and `Cluster.MemberPromote`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct MemberIdRequest {
    /// Which.
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// A request without fields.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Empty {}

/// `Maintenance.Status`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StatusResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// Version of etcd.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Bytes of the data file.
    #[prost(int64, tag = "3")]
    pub db_size: i64,
    /// Who leads; 0 = nobody.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// Committed index of the log.
    #[prost(uint64, tag = "5")]
    pub raft_index: u64,
    /// Term.
    #[prost(uint64, tag = "6")]
    pub raft_term: u64,
    /// Applied index of the log.
    #[prost(uint64, tag = "7")]
    pub raft_applied_index: u64,
    /// What is wrong.
    #[prost(string, repeated, tag = "8")]
    pub errors: Vec<String>,
    /// Bytes of the data file that are in use.
    #[prost(int64, tag = "9")]
    pub db_size_in_use: i64,
    /// It does not vote.
    #[prost(bool, tag = "10")]
    pub is_learner: bool,
    /// Version of the data file's form.
    #[prost(string, tag = "11")]
    pub storage_version: String,
    /// Bytes that the data file may have.
    #[prost(int64, tag = "12")]
    pub db_size_quota: i64,
}

/// `Maintenance.Alarm`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct AlarmRequest {
    /// 0 get, 1 activate, 2 deactivate.
    #[prost(int32, tag = "1")]
    pub action: i32,
    /// Whose; 0 = all.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// 0 none, 1 no space, 2 corrupt.
    #[prost(int32, tag = "3")]
    pub alarm: i32,
}

/// An alarm.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct AlarmMember {
    /// Whose.
    #[prost(uint64, tag = "1")]
    pub member_id: u64,
    /// 1 no space, 2 corrupt.
    #[prost(int32, tag = "2")]
    pub alarm: i32,
}

/// Answer of `Maintenance.Alarm`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AlarmResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The alarms.
    #[prost(message, repeated, tag = "2")]
    pub alarms: Vec<AlarmMember>,
}

/// `Maintenance.MoveLeader`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct MoveLeaderRequest {
    /// The new leader.
    #[prost(uint64, tag = "1")]
    pub target_id: u64,
}

/// An answer with nothing but a header.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HeaderResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
}

/// `Maintenance.HashKV`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HashKvRequest {
    /// Up to this revision; 0 = all.
    #[prost(int64, tag = "1")]
    pub revision: i64,
}

/// Answer of `Maintenance.HashKV`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HashKvResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The hash: equal on all members.
    #[prost(uint32, tag = "2")]
    pub hash: u32,
    /// Revision of the last compaction.
    #[prost(int64, tag = "3")]
    pub compact_revision: i64,
    /// Revision up to which was hashed.
    #[prost(int64, tag = "4")]
    pub hash_revision: i64,
}

/// `KV.Range`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RangeRequest {
    /// First key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Key behind the last; empty = only `key`; one zero byte = to the end.
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    /// Most keys; 0 = all.
    #[prost(int64, tag = "3")]
    pub limit: i64,
    /// Any member may answer.
    #[prost(bool, tag = "7")]
    pub serializable: bool,
    /// Leave the values out.
    #[prost(bool, tag = "8")]
    pub keys_only: bool,
    /// Only count.
    #[prost(bool, tag = "9")]
    pub count_only: bool,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct KeyValue {
    /// Key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Revision that made it.
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    /// Revision that changed it last.
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    /// Changes since it was made.
    #[prost(int64, tag = "4")]
    pub version: i64,
    /// Value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// Answer of `KV.Range`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RangeResponse {
    /// Header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// Keys and values in order.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    /// There are more.
    #[prost(bool, tag = "3")]
    pub more: bool,
    /// How many there are.
    #[prost(int64, tag = "4")]
    pub count: i64,
}

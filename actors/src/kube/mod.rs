//! The pure part of a simulated cluster's API server: the objects and every rule about them, no HTTP.
//!
//! [`store::Store`] is the heart: it creates, changes, deletes, lists and watches [`object::Object`]s of the kinds in its
//! [`resource::Registry`]. All refusals are [`status::Status`] values in the words of a real server.

pub mod accept;
pub mod apply;
pub mod auth;
pub mod binding;
pub mod bootstrap;
pub mod cluster;
pub mod compactor;
pub mod controller;
pub mod controllers;
pub mod convert;
pub mod crd;
pub mod defaulting;
pub mod discovery;
pub mod etcd;
pub mod garbage;
pub mod go;
pub mod intern;
pub mod kubeadm;
mod limit_range;
pub mod machine;
pub mod names;
pub mod namespace;
pub mod node;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod quantity;
pub mod quota;
pub mod resource;
pub mod scale;
pub mod schema;
pub mod selector;
pub mod status;
pub mod store;
pub mod structure;
pub mod table;
pub mod validate;
pub mod version;

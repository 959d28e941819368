//! Log service and its entries.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::message::Severity;
use super::system::Action;
use super::{Link, Status, resource};

resource! {
    /// `LogService`.
    LogService<'a> = "#LogService.v1_8_0.LogService" {
        service_enabled: bool,
        max_number_of_records: usize,
        over_write_policy: &'static str,
        log_entry_type: &'static str,
        date_time: String,
        date_time_local_offset: &'static str,
        entries: Link<'a>,
        status: Status,
        actions: LogServiceActions<'a>,
    }
}

/// `Actions` of a log service.
#[derive(Clone, Debug, Serialize)]
pub struct LogServiceActions<'a> {
    #[serde(rename = "#LogService.ClearLog")]
    pub clear: Action<'a>,
}

resource! {
    /// `LogEntry`.
    LogEntry<'a> = "#LogEntry.v1_17_0.LogEntry" {
        entry_type: &'static str,
        severity: Severity,
        created: String,
        message: String,
    }
}

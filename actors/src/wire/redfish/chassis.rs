//! `Chassis`, and its power and temperatures.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::vocabulary::{IndicatorLed, PowerState};
use super::{EntityTag, Link, Status, Uri, resource};

resource! {
    /// `Chassis`.
    Chassis<'a> = "#Chassis.v1_25_0.Chassis" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        #[serde(rename = "UUID")]
        uuid: &'a str,
        chassis_type: &'static str,
        manufacturer: &'a str,
        model: &'a str,
        #[serde(rename = "SKU")]
        sku: &'a str,
        serial_number: &'a str,
        #[serde(rename = "IndicatorLED")]
        indicator_led: IndicatorLed,
        power_state: PowerState,
        status: Status,
        power: Expanded<'a, Power<'a>>,
        thermal: Expanded<'a, Thermal<'a>>,
        network_adapters: Link<'a>,
        links: ChassisLinks<'a>,
    }
}

/// A link, or with `$expand` the resource itself.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Expanded<'a, T> {
    /// Not expanded.
    Link(Link<'a>),
    /// Expanded.
    Whole(Box<T>),
}

/// `Links` of a chassis.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChassisLinks<'a> {
    pub computer_systems: [Link<'a>; 1],
    pub managed_by: [Link<'a>; 1],
}

resource! {
    /// `Power`.
    Power<'a> = "#Power.v1_7_3.Power" {
        power_control: Vec<PowerControl<'a>>,
        power_supplies: Vec<PowerSupply<'a>>,
    }
}

/// `PowerControl`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PowerControl<'a> {
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    pub member_id: &'a str,
    pub name: &'static str,
    pub power_consumed_watts: i64,
    pub power_capacity_watts: i64,
    pub status: Status,
}

/// `PowerSupply`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PowerSupply<'a> {
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    pub member_id: &'a str,
    pub name: &'a str,
    pub power_supply_type: &'static str,
    pub line_input_voltage: i64,
    pub power_capacity_watts: i64,
    pub last_power_output_watts: i64,
    pub serial_number: String,
    pub status: Status,
}

resource! {
    /// `Thermal`.
    Thermal<'a> = "#Thermal.v1_7_3.Thermal" {
        fans: Vec<Fan<'a>>,
        temperatures: Vec<Temperature<'a>>,
    }
}

/// `Fan`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fan<'a> {
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    pub member_id: &'a str,
    pub name: &'a str,
    pub physical_context: &'static str,
    pub reading: i64,
    pub reading_units: &'static str,
    pub min_reading_range: i64,
    pub max_reading_range: i64,
    pub status: Status,
}

/// `Temperature`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Temperature<'a> {
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    pub member_id: &'a str,
    pub name: &'a str,
    pub physical_context: &'static str,
    pub sensor_number: i64,
    pub reading_celsius: i64,
    pub min_reading_range_temp: i64,
    pub max_reading_range_temp: i64,
    pub upper_threshold_critical: i64,
    pub status: Status,
}

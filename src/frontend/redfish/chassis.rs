//! `Chassis`: one a system, with its power and temperatures.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::Identity;
use metalsim_actors::node::agent::inventory::serial_number;
use metalsim_actors::node::bmc::BmcCommand;
use metalsim_actors::wire::redfish::chassis::{
    Chassis, ChassisLinks, Expanded, Fan, Power, PowerControl, PowerSupply, Temperature, Thermal,
};
use metalsim_actors::wire::redfish::{Status, Uri};

use super::error::{RedfishError, allow};
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, CHASSIS, MANAGERS, SYSTEMS, Tagged, View, link};
use super::sensors::Sensors;
use super::state::RedfishState;
use super::systems::{INDICATORS, part_serial, status};

/// Watts of one power supply.
const SUPPLY_WATTS: i64 = 1100;
/// Members of the sensor arrays by number: names, `MemberId`s and the ends of their URIs.
const NUMBERS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
const SUPPLIES: [(&str, &str); 2] = [
    ("/Power#/PowerSupplies/0", "Power supply 1"),
    ("/Power#/PowerSupplies/1", "Power supply 2"),
];
const FANS: [(&str, &str); 4] = [
    ("/Thermal#/Fans/0", "Fan 1"),
    ("/Thermal#/Fans/1", "Fan 2"),
    ("/Thermal#/Fans/2", "Fan 3"),
    ("/Thermal#/Fans/3", "Fan 4"),
];
const CPU_TEMPERATURES: [(&str, &str); 4] = [
    ("/Thermal#/Temperatures/1", "CPU1 temperature"),
    ("/Thermal#/Temperatures/2", "CPU2 temperature"),
    ("/Thermal#/Temperatures/3", "CPU3 temperature"),
    ("/Thermal#/Temperatures/4", "CPU4 temperature"),
];

/// `GET /redfish/v1/Chassis/{id}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let expand = respond::expands(&request);
    // Sensors move by themselves.
    let tagged = if expand { Tagged::Weak } else { Tagged::Strong };
    respond::show(
        &request,
        &node,
        (tagged, allow::PATCH, Chassis::TYPE),
        move |view, out| write(view, expand, out),
    )
    .await
}

fn write(view: &View<'_>, expand: bool, out: &mut Vec<u8>) -> Result<(), RedfishError> {
    let (node, id) = (view.node, view.id);
    let (profile, identity) = (node.profile(), node.identity());
    let power_state = node.power_state();
    let serial = serial_number(identity);
    let sensors = Sensors::new(identity.id, power_state, view.now);
    let (power, thermal) = if expand {
        (
            Expanded::Whole(Box::new(power(id, identity, sensors))),
            Expanded::Whole(Box::new(thermal(id, profile.cpu.sockets, sensors))),
        )
    } else {
        (
            Expanded::Link(link(CHASSIS, id, "/Power")),
            Expanded::Link(link(CHASSIS, id, "/Thermal")),
        )
    };
    let payload = Chassis {
        odata_id: Uri(CHASSIS, id, ""),
        odata_type: Chassis::TYPE,
        id,
        name: &identity.name,
        etag: view.etag,
        uuid: id,
        chassis_type: "RackMount",
        manufacturer: &profile.manufacturer,
        model: &profile.model,
        sku: &profile.sku,
        serial_number: &serial,
        indicator_led: node.bmc().indicator(),
        power_state,
        status: status(power_state),
        power,
        thermal,
        network_adapters: link(CHASSIS, id, "/NetworkAdapters"),
        links: ChassisLinks {
            computer_systems: [link(SYSTEMS, id, "")],
            managed_by: [link(MANAGERS, id, "")],
        },
    };
    Ok(serde_json::to_writer(out, &payload)?)
}

/// `PATCH /redfish/v1/Chassis/{id}`
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let indicator = fields.one_of("IndicatorLED", &INDICATORS);
    fields.finish(&[
        "Id",
        "Name",
        "UUID",
        "ChassisType",
        "Manufacturer",
        "Model",
        "SKU",
        "SerialNumber",
        "PowerState",
        "Status",
        "Power",
        "Thermal",
        "Links",
        "AssetTag",
        "LocationIndicatorActive",
    ])?;
    if let Some(indicator) = indicator {
        respond::command(&node, if_match, BmcCommand::SetIndicator(indicator)).await?;
    }
    Ok(respond::no_content())
}

/// `GET /redfish/v1/Chassis/{id}/Power`
pub(super) async fn get_power(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let identity = node.identity();
    let sensors = Sensors::new(identity.id, node.power(), state.clock.now());
    respond::json(allow::READ, &power(&identity.id.to_string(), identity, sensors))
}

/// `GET /redfish/v1/Chassis/{id}/Thermal`
pub(super) async fn get_thermal(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let id = node.identity().id;
    let sensors = Sensors::new(id, node.power(), state.clock.now());
    let sockets = node.kind().profile.cpu.sockets;
    respond::json(allow::READ, &thermal(&id.to_string(), sockets, sensors))
}

fn power<'a>(id: &'a str, identity: &Identity, sensors: Sensors) -> Power<'a> {
    let serial = serial_number(identity);
    let watts = sensors.watts();
    let supplies = SUPPLIES.iter().zip(NUMBERS).enumerate();
    Power {
        odata_id: Uri(CHASSIS, id, "/Power"),
        odata_type: Power::TYPE,
        id: "Power",
        name: "Power",
        power_control: vec![PowerControl {
            odata_id: Uri(CHASSIS, id, "/Power#/PowerControl/0"),
            member_id: "0",
            name: "Server power",
            power_consumed_watts: watts,
            power_capacity_watts: SUPPLY_WATTS,
            status: Status::OK,
        }],
        power_supplies: supplies
            .map(|(index, (&(tail, name), member_id))| PowerSupply {
                odata_id: Uri(CHASSIS, id, tail),
                member_id,
                name,
                power_supply_type: "AC",
                line_input_voltage: sensors.line_volts(index),
                power_capacity_watts: SUPPLY_WATTS,
                last_power_output_watts: watts / 2,
                serial_number: part_serial(&serial, 'P', index),
                status: Status::OK,
            })
            .collect(),
    }
}

fn thermal(id: &str, sockets: u32, sensors: Sensors) -> Thermal<'_> {
    let temperature = |tail, member_id, name, context, number, celsius, critical| Temperature {
        odata_id: Uri(CHASSIS, id, tail),
        member_id,
        name,
        physical_context: context,
        sensor_number: number,
        reading_celsius: celsius,
        min_reading_range_temp: 0,
        max_reading_range_temp: 120,
        upper_threshold_critical: critical,
        status: Status::OK,
    };
    let inlet = "/Thermal#/Temperatures/0";
    let mut temperatures = vec![temperature(
        inlet,
        "0",
        "Inlet temperature",
        "Intake",
        1,
        sensors.inlet_celsius(),
        47,
    )];
    let cpus = CPU_TEMPERATURES
        .iter()
        .zip(&NUMBERS[1..])
        .zip(2_i64..)
        .enumerate();
    temperatures.extend(
        cpus.take(sockets as usize)
            .map(|(index, ((&(tail, name), &member_id), number))| {
                temperature(
                    tail,
                    member_id,
                    name,
                    "CPU",
                    number,
                    sensors.cpu_celsius(index),
                    95,
                )
            }),
    );
    Thermal {
        odata_id: Uri(CHASSIS, id, "/Thermal"),
        odata_type: Thermal::TYPE,
        id: "Thermal",
        name: "Thermal",
        fans: FANS
            .iter()
            .zip(NUMBERS)
            .enumerate()
            .map(|(index, (&(tail, name), member_id))| Fan {
                odata_id: Uri(CHASSIS, id, tail),
                member_id,
                name,
                physical_context: "SystemBoard",
                reading: sensors.fan_rpm(index),
                reading_units: "RPM",
                min_reading_range: 0,
                max_reading_range: 16_000,
                status: Status::OK,
            })
            .collect(),
        temperatures,
    }
}

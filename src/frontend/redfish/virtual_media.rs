//! `VirtualMedia`: the slots of a system. Inserting only records: the host reads the image when it boots.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use metalsim_actors::node::bmc::{BmcCommand, Media, Secret, TransferMethod, TransferProtocol};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::time::SimInstant;
use metalsim_actors::wire::redfish::Uri;
use metalsim_actors::wire::redfish::system::{Action, InsertMediaAction, VirtualMedia, VirtualMediaActions};

use super::boot::{LONGEST_URL, is_http_url};
use super::error::{RedfishError, allow};
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, SYSTEMS, Tagged, View};
use super::state::RedfishState;

/// Longest name and password for an image's server.
const LONGEST_CREDENTIAL: usize = 256;
static PROTOCOLS: [TransferProtocol; 2] = [TransferProtocol::Http, TransferProtocol::Https];
static METHODS: [TransferMethod; 2] = [TransferMethod::Stream, TransferMethod::Upload];

/// `GET /redfish/v1/Systems/{id}/VirtualMedia`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let slots = &node.kind().profile.virtual_media;
    let mut ids: Vec<String> = slots.iter().map(|slot| slot.id.to_string()).collect();
    ids.dedup();
    let path = request.path();
    let links = ids
        .iter()
        .map(|id| metalsim_actors::wire::redfish::Link {
            odata_id: Uri(path, "/", id),
        })
        .collect();
    let odata_type = "#VirtualMediaCollection.VirtualMediaCollection";
    respond::collection(&request, allow::READ, odata_type, "Virtual media", links)
}

/// The slot that the path names, as its position in the profile.
fn slot(request: &HttpRequest, node: &NodeRef) -> Result<usize, RedfishError> {
    let given = request.match_info().get("slot").unwrap_or_default();
    let slots = &node.kind().profile.virtual_media;
    slots
        .iter()
        .position(|slot| &*slot.id == given)
        .ok_or_else(|| RedfishError::missing(request.path()))
}

/// `GET /redfish/v1/Systems/{id}/VirtualMedia/{slot}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let index = slot(&request, &node)?;
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::PATCH, VirtualMedia::TYPE),
        move |view, out| write(view, index, out),
    )
    .await
}

fn write(view: &View<'_>, index: usize, out: &mut Vec<u8>) -> Result<(), RedfishError> {
    let slots = &view.node.profile().virtual_media;
    let (Some(profile), Some(slot)) = (slots.get(index), view.node.bmc().media().get(index)) else {
        return Err(RedfishError::internal());
    };
    let media = slot.media.as_deref();
    let inserted = media.is_some_and(|media| media.inserted && media.available_at <= view.now);
    let tail = format!("/VirtualMedia/{}", profile.id);
    let insert = format!("{tail}/Actions/VirtualMedia.InsertMedia");
    let eject = format!("{tail}/Actions/VirtualMedia.EjectMedia");
    let image = media.map(|media| &*media.image);
    let payload = VirtualMedia {
        odata_id: Uri(SYSTEMS, view.id, &tail),
        odata_type: VirtualMedia::TYPE,
        id: &profile.id,
        name: "Virtual media",
        etag: view.etag,
        media_types: &profile.media_types,
        inserted,
        image,
        image_name: image.map(image_name),
        connected_via: if inserted { "URI" } else { "NotConnected" },
        write_protected: media.is_none_or(|media| media.write_protected),
        transfer_method: media.map(|media| media.transfer_method),
        transfer_protocol_type: media.and_then(|media| media.transfer_protocol),
        user_name: media.and_then(|media| media.username.as_deref()),
        password: None,
        verify_certificate: slot.verify_certificate,
        actions: VirtualMediaActions {
            insert: InsertMediaAction {
                target: Uri(SYSTEMS, view.id, &insert),
                protocols: &PROTOCOLS,
                methods: &METHODS,
            },
            eject: Action {
                target: Uri(SYSTEMS, view.id, &eject),
            },
        },
    };
    Ok(serde_json::to_writer(out, &payload)?)
}

/// The last segment of the image's path.
fn image_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

/// What a client says about an image, before it is known whether it says enough.
struct Wanted {
    image: Option<String>,
    inserted: Option<bool>,
    write_protected: Option<bool>,
    username: Option<Option<String>>,
    password: Option<Option<String>>,
    method: Option<TransferMethod>,
    protocol: Option<TransferProtocol>,
}

impl Wanted {
    fn parse(fields: &mut Fields, image: Option<String>) -> Self {
        let wanted = Self {
            image,
            inserted: fields.boolean("Inserted"),
            write_protected: fields.boolean("WriteProtected"),
            username: fields.nullable_text("UserName", LONGEST_CREDENTIAL),
            password: fields.nullable_text("Password", LONGEST_CREDENTIAL),
            method: fields.one_of("TransferMethod", &METHODS),
            protocol: fields.one_of("TransferProtocolType", &PROTOCOLS),
        };
        if let Some(image) = &wanted.image {
            let scheme = image.split(':').next().unwrap_or_default();
            if !is_http_url(image) {
                // Credentials may stand in the URL, so only its scheme is repeated.
                fields.wrong_format("Image", scheme);
            } else if wanted
                .protocol
                .is_some_and(|protocol| protocol != protocol_of(image))
            {
                fields.not_in_list("TransferProtocolType", scheme, &scheme.to_uppercase());
            }
        }
        wanted
    }

    /// The medium, if an image is named.
    fn media(self) -> Option<Media> {
        let image = self.image?;
        Some(Media {
            inserted: self.inserted.unwrap_or(true),
            write_protected: self.write_protected.unwrap_or(true),
            transfer_method: self.method.unwrap_or_default(),
            transfer_protocol: Some(self.protocol.unwrap_or_else(|| protocol_of(&image))),
            username: self.username.flatten().map(Into::into),
            password: self.password.flatten().as_deref().map(Secret::new),
            // The BMC sets it.
            available_at: SimInstant::START,
            image: image.into(),
        })
    }
}

fn protocol_of(url: &str) -> TransferProtocol {
    if url
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
    {
        TransferProtocol::Https
    } else {
        TransferProtocol::Http
    }
}

/// `POST .../VirtualMedia/{slot}/Actions/VirtualMedia.InsertMedia`
pub(super) async fn insert(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let index = slot(&request, &node)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Action("VirtualMedia.InsertMedia"), body);
    let image = fields.text("Image", LONGEST_URL);
    if image.is_none() {
        fields.missing("Image");
    }
    let wanted = Wanted::parse(&mut fields, image);
    fields.finish(&[])?;
    if let Some(media) = wanted.media() {
        insert_into(&node, index, if_match, media).await?;
    }
    Ok(respond::no_content())
}

async fn insert_into(
    node: &Arc<NodeRef>,
    index: usize,
    if_match: Option<u32>,
    media: Media,
) -> Result<(), RedfishError> {
    let slot = slot_id(node, index)?;
    let media = Box::new(media);
    respond::command(node, if_match, BmcCommand::InsertMedia { slot, media }).await
}

fn slot_id(node: &NodeRef, index: usize) -> Result<Box<str>, RedfishError> {
    let slot = node.kind().profile.virtual_media.get(index);
    slot.map(|slot| slot.id.clone())
        .ok_or_else(RedfishError::internal)
}

/// `POST .../VirtualMedia/{slot}/Actions/VirtualMedia.EjectMedia`
pub(super) async fn eject(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let index = slot(&request, &node)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    Fields::new(Purpose::Action("VirtualMedia.EjectMedia"), body).finish(&[])?;
    let slot = slot_id(&node, index)?;
    respond::command(&node, if_match, BmcCommand::EjectMedia { slot }).await?;
    Ok(respond::no_content())
}

/// `PATCH .../VirtualMedia/{slot}`: the certificate check, or insert and eject the way of services without actions.
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let index = slot(&request, &node)?;
    let mut if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let verify = fields.boolean("VerifyCertificate");
    let image = fields.nullable_text("Image", LONGEST_URL);
    let ejects = matches!(&image, Some(None));
    let named = image.flatten();
    let wanted = Wanted::parse(&mut fields, named);
    let ejects = ejects || (wanted.image.is_none() && wanted.inserted == Some(false));
    let describes = wanted.inserted.is_some()
        || wanted.write_protected.is_some()
        || wanted.username.is_some()
        || wanted.password.is_some()
        || wanted.method.is_some()
        || wanted.protocol.is_some();
    if wanted.image.is_none() && describes && !ejects {
        // Describing an image takes the image.
        fields.missing("Image");
    }
    fields.finish(&[
        "Id",
        "Name",
        "MediaTypes",
        "ConnectedVia",
        "ImageName",
        "Actions",
        "Status",
    ])?;
    if let Some(verify) = verify {
        let slot = slot_id(&node, index)?;
        let command = BmcCommand::SetMediaVerification { slot, verify };
        respond::command(&node, if_match.take(), command).await?;
    }
    if ejects {
        let slot = slot_id(&node, index)?;
        respond::command(&node, if_match, BmcCommand::EjectMedia { slot }).await?;
    } else if let Some(media) = wanted.media() {
        insert_into(&node, index, if_match, media).await?;
    }
    Ok(respond::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_leave_the_query_out() {
        assert_eq!(image_name("http://h/a/boot.iso?token=x"), "boot.iso");
        assert_eq!(image_name("http://h/"), "");
    }

    #[test]
    fn the_protocol_follows_from_the_url() {
        assert_eq!(protocol_of("HTTPS://h/x"), TransferProtocol::Https);
        assert_eq!(protocol_of("http://h/x"), TransferProtocol::Http);
        assert_eq!(protocol_of("é"), TransferProtocol::Http);
    }
}

//! `get` and `list`.

use std::sync::Arc;

use actix_web::HttpResponse;
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::selector::{FieldSelector, LabelSelector};
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{ListPage, ListQuery, VersionMatch};

use super::answer::Answer;
use super::call::{Place, Server};
use super::query::Query;
use super::render::{self, View};

/// One object. `resourceVersion` in the query asks for a state that is not older, which this one never is.
pub(super) fn get(server: &Server, place: &Place, view: View) -> Answer {
    let now = server.cluster.now();
    let object = server.cluster.read(|cluster| {
        let object = cluster.store.get(place.target(), &place.name)?;
        Ok::<Arc<Object>, Status>(cluster.present(&place.resource, object, now))
    })?;
    Ok(render::object(view, place, &object, 200, now))
}

/// What a list or watch selects.
pub(super) fn selectors(place: &Place, query: &Query<'_>) -> Result<(LabelSelector, FieldSelector), Status> {
    let labels = LabelSelector::parse(query.text("labelSelector"))?;
    let fields = FieldSelector::parse(query.text("fieldSelector"), &place.resource)?;
    Ok((labels, fields))
}

/// The list that the parameters ask for.
pub(super) fn list_query<'a>(place: &Place, query: &'a Query<'_>) -> Result<ListQuery<'a>, Status> {
    let (labels, fields) = selectors(place, query)?;
    Ok(ListQuery {
        labels,
        fields,
        limit: query
            .number("limit")?
            .map_or(0, |limit| usize::try_from(limit).unwrap_or(0)),
        continue_token: query.text("continue"),
        resource_version: query.text("resourceVersion"),
        version_match: VersionMatch::parse(query.text("resourceVersionMatch"))?,
        send_initial_events: query.maybe_flag("sendInitialEvents"),
    })
}

/// Many objects.
pub(super) fn list(server: &Server, place: &Place, query: &Query<'_>, view: View) -> Answer {
    let now = server.cluster.now();
    let wanted = list_query(place, query)?;
    let page: ListPage = server.cluster.read(|cluster| {
        let mut page = cluster.store.list(place.target(), &wanted)?;
        for object in &mut page.items {
            *object = cluster.present(&place.resource, object, now);
        }
        Ok::<_, Status>(page)
    })?;
    Ok(page_answer(place, &page, view, now))
}

/// A page as an answer.
pub(super) fn page_answer(
    place: &Place,
    page: &ListPage,
    view: View,
    now: chrono::DateTime<chrono::Utc>,
) -> HttpResponse {
    render::page(view, place, page, now)
}

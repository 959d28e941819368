//! Properties: every object that fits the schema survives a round trip, and no bytes make the reader fail badly.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::*;
use crate::kube::schema::{FieldType, Kind, Scalar, Special, strict};

/// Decisions, read from random bytes; when those are used up, everything ends soon.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn number(&mut self) -> i64 {
        (0..8).fold(0, |number, _| number << 8 | i64::from(self.next()))
    }

    fn text(&mut self) -> String {
        let length = self.next() % 4;
        (0..length)
            .map(|_| char::from_u32(u32::from(self.next()) * 3).unwrap_or('ü'))
            .collect()
    }

    fn object(&mut self, id: MessageId, depth: usize) -> Map<String, Value> {
        let schema = Schema::built_in();
        let mut object = Map::new();
        for field in &schema.message(id).unwrap().fields {
            if depth > 12 || self.next().is_multiple_of(3) {
                continue;
            }
            if let (true, Kind::Message(inner)) = (field.is_inline(), &field.of.kind) {
                object.append(&mut self.object(*inner, depth + 1));
            } else {
                object.insert(field.name.to_string(), self.value(&field.of, depth));
            }
        }
        object
    }

    fn value(&mut self, of: &FieldType, depth: usize) -> Value {
        match &of.kind {
            Kind::Scalar(Scalar::String) => Value::from(self.text()),
            Kind::Scalar(Scalar::Bytes) => json!(["", "AA==", "AQID", "/+8="][usize::from(self.next() % 4)]),
            Kind::Scalar(Scalar::Bool) => Value::from(self.next() % 2 == 1),
            Kind::Scalar(Scalar::Int32) => Value::from(self.number() as i32),
            Kind::Scalar(Scalar::Int64) => Value::from(self.number()),
            Kind::Scalar(Scalar::Float64) => Value::from(self.number() as i32 as f64 / 4.0),
            Kind::Message(id) => Value::Object(self.object(*id, depth + 1)),
            Kind::Special(special) => self.special(*special, depth),
            // An empty list is none in protobuf.
            Kind::List { item, .. } => (0..=self.next() % 3).map(|_| self.value(item, depth)).collect(),
            Kind::Map(item) => (0..self.next() % 3)
                .map(|_| (self.text(), self.value(item, depth)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    fn special(&mut self, special: Special, depth: usize) -> Value {
        let pick = usize::from(self.next() % 3);
        let schema = Schema::built_in().kind("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        assert!(schema.is_some());
        let mut inner = || {
            let id = Schema::built_in().json_schema.unwrap();
            Value::Object(self.object(id, depth + 4))
        };
        match special {
            Special::Time => json!([null, "2026-02-03T04:05:06Z", "1970-01-01T00:00:00Z"])[pick].clone(),
            Special::MicroTime => {
                json!([null, "2026-02-03T04:05:06.000007Z", "1969-12-31T23:59:59.500000Z"])[pick].clone()
            }
            Special::Quantity => json!(["0", "1500m", "16Gi"])[pick].clone(),
            Special::IntOrString => json!([0, -5, "25%"])[pick].clone(),
            Special::RawExtension | Special::FieldsV1 | Special::Json => {
                json!([{"a": [1, null, "x"]}, "text", 5])[pick].clone()
            }
            Special::SchemaOrBool => [json!(true), json!(false), inner()][pick].clone(),
            Special::SchemaOrArray => [json!([inner()]), json!([inner(), inner()]), inner()][pick].clone(),
            Special::SchemaOrStrings => [json!(["a"]), json!(["a", ""]), inner()][pick].clone(),
        }
    }
}

fn kinds() -> Vec<(&'static str, &'static str, MessageId)> {
    let mut kinds: Vec<_> = Schema::built_in().kinds().collect();
    kinds.sort_unstable();
    kinds
}

proptest! {
    #[test]
    fn every_object_of_the_schema_survives(
        index in any::<proptest::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let kinds = kinds();
        let (api_version, kind, id) = kinds[index.index(kinds.len())];
        let mut object = Choices { bytes: bytes.iter() }.object(id, 0);
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
        Schema::built_in().normalise(id, &mut object).unwrap();
        let value = Value::Object(object.clone());
        prop_assert_eq!(strict::inspect_value(id, &value), strict::Findings::default());
        prop_assert_eq!(strict::inspect(id, &value.to_string()).unwrap(), strict::Findings::default());
        let body = encode(api_version, kind, &object).unwrap();
        let read = decode(&body).unwrap();
        prop_assert_eq!(Value::Object(read.object), Value::Object(object));
        prop_assert_eq!((read.api_version.as_str(), read.kind.as_str()), (api_version, kind));
    }

    #[test]
    fn damaged_bodies_are_refused_or_read_but_never_worse(
        index in any::<proptest::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        damage in prop::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let kinds = kinds();
        let (api_version, kind, id) = kinds[index.index(kinds.len())];
        let mut object = Choices { bytes: bytes.iter() }.object(id, 0);
        Schema::built_in().normalise(id, &mut object).unwrap();
        let mut body = encode(api_version, kind, &object).unwrap();
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Ok(read) = decode(&body) {
            let again = encode(&read.api_version, &read.kind, &read.object).unwrap();
            prop_assert!(decode(&again).is_ok());
        }
    }

    #[test]
    fn random_bytes_are_refused_or_read(raw in prop::collection::vec(any::<u8>(), 0..200), index in any::<proptest::sample::Index>()) {
        let kinds = kinds();
        let (api_version, kind, _) = kinds[index.index(kinds.len())];
        let mut body = Writer::new(MAGIC.to_vec());
        let mut type_meta = Writer::default();
        type_meta.put(1, api_version.as_bytes());
        type_meta.put(2, kind.as_bytes());
        body.put(1, &type_meta.into_bytes());
        body.put(2, &raw);
        let _ = decode(&body.into_bytes());
        let _ = decode(&raw);
    }
}

//! The simulated images over real connections.

use metalsim::frontend::images::{self, ImageSizes};
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::Protocol;
use sha2::{Digest as _, Sha256};

use crate::world::{Plan, World, client};

async fn started() -> (World, String) {
    let mut world = World::start(Plan {
        nodes: 0,
        ..Plan::default()
    })
    .await;
    let options = ServerOptions::new(Protocol::Images);
    let address = world.serve(&options, images::configure(ImageSizes::default()));
    (world, format!("http://{address}"))
}

#[actix_web::test]
async fn an_image_is_the_same_each_time_in_whole_and_in_parts() {
    let (world, base) = started().await;
    let url = format!("{base}/rhel.qcow2?mib=2");
    let whole = client().get(&url).send().await.unwrap();
    assert_eq!(whole.headers()["content-length"], "2097152");
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let whole = whole.bytes().await.unwrap();
    let head = client().head(&url).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"2097152".parse().unwrap())
    );
    for (asked, range, shown) in [
        ("bytes=100-199", 100..200, "bytes 100-199/2097152"),
        (
            "bytes=2097000-",
            2_097_000..2_097_152,
            "bytes 2097000-2097151/2097152",
        ),
        ("bytes=-7", 2_097_145..2_097_152, "bytes 2097145-2097151/2097152"),
    ] {
        let part = client().get(&url).header("range", asked).send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], shown);
        assert_eq!(part.bytes().await.unwrap(), whole[range]);
    }
    let sum = client()
        .get(format!("{base}/rhel.qcow2.sha256?mib=2"))
        .send()
        .await
        .unwrap();
    let expected: String = Sha256::digest(&whole)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(sum.text().await.unwrap(), format!("{expected}  rhel.qcow2\n"));
    world.stop().await;
}

#[actix_web::test]
async fn what_is_no_image_is_refused() {
    let (world, base) = started().await;
    for (path, status) in [
        ("/", 404),
        ("/a.txt", 404),
        ("/a.raw?mib=x", 400),
        ("/a.raw?mib=999999999", 400),
    ] {
        let answer = client().get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    let answer = client()
        .get(format!("{base}/a.raw"))
        .header("range", "bytes=1048576-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-range"]),
        (416, &"bytes */1048576".parse().unwrap())
    );
    assert_eq!(
        client()
            .post(format!("{base}/a.raw"))
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    world.stop().await;
}

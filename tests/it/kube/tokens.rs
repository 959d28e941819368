//! Tokens on connections that live longer than they.

use serde_json::json;

use super::harness::{Plan, Running};
use super::raw::Http;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[actix_web::test]
async fn a_token_ends_with_its_account_also_on_an_open_connection() {
    let running = Running::start(&Plan::default());
    let admin = Http::new(&running);
    let mut tokens = Vec::new();
    for name in ["one", "other"] {
        admin
            .post(ACCOUNTS, &json!({"metadata": {"name": name}}))
            .await
            .must(201);
        let asked = admin.post(&format!("{ACCOUNTS}/{name}/token"), &json!({})).await;
        let token = asked.must(201)["status"]["token"].as_str().unwrap().to_owned();
        tokens.push(token);
    }
    let mut user = Http::new(&running);
    // In turn, twice each, over what the pool of the client keeps open.
    for (round, name) in [(0, "one"), (0, "one"), (1, "other"), (0, "one")] {
        user.set_token(&tokens[round]);
        let seen = user.post(WHO, &json!({})).await.must(201);
        assert_eq!(
            seen["status"]["userInfo"]["username"],
            format!("system:serviceaccount:default:{name}")
        );
    }
    let mut forged = tokens[0].clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    user.set_token(&forged);
    user.post(WHO, &json!({})).await.must(401);
    user.set_token(&tokens[0]);
    user.post(WHO, &json!({})).await.must(201);
    admin
        .send("DELETE", &format!("{ACCOUNTS}/one"), None)
        .await
        .must(200);
    user.post(WHO, &json!({})).await.must(401);
    user.set_token(&tokens[1]);
    user.post(WHO, &json!({})).await.must(201);
}

//! Artifacts, from their creation to their commit.

use super::client::Client;
use super::server::{Artifact, Server, base64, hex, md5};
use super::{graphql, with_run};
use serde_json::{Value, json};

const CREATE: &str = "mutation CreateArtifact($input: CreateArtifactInput!) {
  createArtifact(input: $input) { artifact { id state artifactSequence { latestArtifact { id } } } }
}";

const MANIFEST: &str = "mutation($artifact: ID!, $digest: String!, $upload: Boolean!) {
  createArtifactManifest(input: {artifactID: $artifact, name: \"wandb_manifest.json\", digest: $digest,
      entityName: \"test-entity\", projectName: \"p\", runName: \"r1\", type: FULL}) {
    artifactManifest {
      id file { uploadUrl @include(if: $upload) uploadHeaders @include(if: $upload) }
    }
  }
}";

const FILES: &str = "mutation($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node {
    storagePath uploadUrl uploadHeaders artifact { id }
    uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } }
  } } } }
}";

const COMMIT: &str =
    "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";

/// Creates a version of `data` and gives what the answer says of it.
fn create(client: &mut Client, digest: &str) -> Value {
    let input = json!({
        "entityName": "test-entity", "projectName": "p", "runName": "r1", "artifactTypeName": "dataset",
        "artifactCollectionName": "data", "digest": digest, "digestAlgorithm": "MANIFEST_MD5",
        "aliases": [{ "artifactCollectionName": "data", "alias": "latest" }],
        "tags": [{ "tagName": "t" }], "metadata": "{\"rows\":NaN}", "clientID": format!("client-{digest}"),
        "enableDigestDeduplication": true,
    });
    graphql(client, CREATE, json!({ "input": input }))["createArtifact"]["artifact"].clone()
}

/// Announces a file, and gives where to put it.
fn announce(client: &mut Client, artifact: &Value, bytes: &[u8], parts: Value) -> Value {
    let file = json!({
        "artifactID": artifact["id"], "name": "d/f.bin", "md5": base64(&md5(bytes)), "uploadPartsInput": parts,
    });
    let input = json!({ "artifactFiles": [file], "storageLayout": "V2" });
    let files = graphql(client, FILES, json!({ "input": input }));
    files["createArtifactFiles"]["files"]["edges"][0]["node"].clone()
}

fn put_manifest(client: &mut Client, artifact: &Value, body: &[u8]) {
    let mut manifest = |digest: &str, upload: bool| {
        let variables = json!({ "artifact": artifact["id"], "digest": digest, "upload": upload });
        let made = graphql(client, MANIFEST, variables)["createArtifactManifest"].clone();
        made["artifactManifest"].clone()
    };
    let first = manifest("", false);
    let second = manifest(&base64(&md5(body)), true);
    assert_eq!((&first["id"], &first["file"]), (&second["id"], &json!({})));
    let file = &second["file"];
    assert_eq!(client.put(&file["uploadUrl"], &file["uploadHeaders"], body).status, 200);
}

fn commit(client: &mut Client, artifact: &Value) -> u16 {
    let body = json!({ "query": COMMIT, "variables": { "id": artifact["id"] } });
    client.post("/graphql", &body).status
}

fn only(server: &Server) -> Artifact {
    server.state().artifact("data").clone()
}

#[test]
fn an_artifact_is_committed_when_all_of_it_is_there() {
    let (server, mut client) = with_run();
    let artifact = create(&mut client, "d1");
    assert_eq!(artifact["state"], "PENDING");
    let file = announce(&mut client, &artifact, b"bytes", Value::Null);
    assert_eq!(commit(&mut client, &artifact), 400, "there is no manifest");
    put_manifest(&mut client, &artifact, br#"{"version":1,"contents":{"d/f.bin":{"size":5}}}"#);
    assert_eq!(commit(&mut client, &artifact), 400, "the file is missing");
    // The Content-MD5 among the headers is that of the file.
    let (url, headers) = (&file["uploadUrl"], &file["uploadHeaders"]);
    assert_eq!(client.put(url, headers, b"others").status, 400);
    assert_eq!(client.put(url, &json!(["X-Test-Upload: 1"]), b"others").status, 400);
    assert_eq!(client.put(url, headers, b"bytes").status, 200);
    assert_eq!(commit(&mut client, &artifact), 200);

    let state = server.state();
    assert_eq!(state.violations.len(), 1, "{:?}", state.violations);
    let stored = state.artifact("data");
    assert_eq!(
        (stored.version, stored.kind.as_str(), stored.digest.as_str()),
        (Some(0), "dataset", "d1")
    );
    assert_eq!(stored.metadata, Some(json!({ "rows": "NaN" })));
    assert!(stored.aliases.contains("latest") && stored.tags.contains("t"));
    assert_eq!(stored.files["d/f.bin"].size, Some(5));
    assert_eq!(stored.contents("FULL"), json!({ "d/f.bin": { "size": 5 } }));
    assert_eq!(state.run().logged, [stored.id.as_str()]);
}

#[test]
fn what_the_server_has_is_not_asked_for_again() {
    let (server, mut client) = with_run();
    let first = create(&mut client, "d1");
    let file = announce(&mut client, &first, b"bytes", Value::Null);
    client.put(&file["uploadUrl"], &file["uploadHeaders"], b"bytes");
    put_manifest(&mut client, &first, b"{}");
    assert_eq!(commit(&mut client, &first), 200);
    assert_eq!(create(&mut client, "d1")["state"], "COMMITTED", "the digest is the same");

    let second = create(&mut client, "d2");
    assert_eq!(second["artifactSequence"]["latestArtifact"]["id"], first["id"]);
    let file = announce(&mut client, &second, b"bytes", Value::Null);
    assert_eq!((&file["uploadUrl"], &file["artifact"]["id"]), (&Value::Null, &first["id"]));
    put_manifest(&mut client, &second, b"{}");
    assert_eq!(commit(&mut client, &second), 200);
    assert_eq!(only(&server).version, Some(1));
    assert!(server.state().artifacts[0].aliases.is_empty(), "latest moved on");
}

#[test]
fn a_file_may_come_in_parts() {
    let (server, mut client) = with_run();
    let artifact = create(&mut client, "d1");
    let digests = [b"first".as_slice(), b"last"].map(|part| hex(&md5(part)));
    let parts = json!([
        { "partNumber": 1, "hexMD5": digests[0] }, { "partNumber": 2, "hexMD5": digests[1] },
    ]);
    let file = announce(&mut client, &artifact, b"firstlast", parts);
    let urls = file["uploadMultipartUrls"]["uploadUrlParts"].clone();
    let mut tags = Vec::new();
    for (url, part) in urls.as_array().unwrap().iter().zip(["first", "last"]) {
        assert_eq!(client.put(&url["uploadUrl"], &json!([]), b"other").status, 400);
        let put = client.put(&url["uploadUrl"], &json!([]), part.as_bytes());
        tags.push(json!({ "partNumber": url["partNumber"], "hexMD5": put.header("ETag") }));
    }
    let complete = "mutation($parts: [UploadPartsInput!]!, $artifact: ID!, $path: String!, $upload: String!) {
      completeMultipartUploadArtifact(input: {completeMultipartAction: Complete, completedParts: $parts,
        artifactID: $artifact, storagePath: $path, uploadID: $upload}) { digest } }";
    let upload = &file["uploadMultipartUrls"]["uploadID"];
    let variables = |parts: &[Value]| json!({ "parts": parts, "artifact": artifact["id"], "path": file["storagePath"], "upload": upload });
    let half = json!({ "query": complete, "variables": variables(&tags[..1]) });
    assert_eq!(client.post("/graphql", &half).status, 400);
    graphql(&mut client, complete, variables(&tags));
    let stored = only(&server);
    assert_eq!((stored.files["d/f.bin"].stored, stored.files["d/f.bin"].size), (true, Some(9)));
}

#[test]
fn artifacts_are_found_by_the_id_of_their_client_and_used() {
    let (server, mut client) = with_run();
    let artifact = create(&mut client, "d1");
    let mapping = r#"query($id: ID!) { clientIDMapping(clientID: $id) { serverID } }"#;
    let mapped = graphql(&mut client, mapping, json!({ "id": "client-d1" }));
    assert_eq!(mapped["clientIDMapping"]["serverID"], artifact["id"]);
    let unknown = graphql(&mut client, mapping, json!({ "id": "client-d2" }));
    assert_eq!(unknown["clientIDMapping"], Value::Null);

    let using =
        "mutation($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }";
    let input = json!({
        "entityName": "test-entity", "projectName": "p", "runName": "r1", "artifactID": artifact["id"],
    });
    graphql(&mut client, using, json!({ "input": input }));
    assert_eq!(server.state().run().used, [artifact["id"].as_str().unwrap()]);

    put_manifest(&mut client, &artifact, b"{}");
    let update = r#"mutation($id: ID!, $digest: String) { updateArtifactManifest(input: {
        artifactManifestID: $id, digest: $digest}) { artifactManifest { file { uploadUrl } } } }"#;
    let id = only(&server).manifests[0].id.clone();
    graphql(&mut client, update, json!({ "id": id, "digest": base64(&md5(b"{ }")) }));
    assert_eq!(only(&server).manifests[0].digest, base64(&md5(b"{ }")));
}

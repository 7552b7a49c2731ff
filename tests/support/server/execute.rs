//! `POST /graphql`: checks an operation, performs it, and answers with the fields that were asked for.

use super::graphql::{self, Type};
use super::http::Response;
use super::json::wandb_json;
use super::schema::{SCHEMA, Selected};
use super::service::{Call, Refused, World};
use serde_json::{Map, Value, json};

/// The first field of the operation of a request: what it is about.
pub(super) fn root_field(body: &Value) -> Option<String> {
    let operations = graphql::operations(body["query"].as_str()?).ok()?;
    Some(operations.first()?.fields.first()?.name.clone())
}

pub(super) fn graphql(world: &mut World, call: &Call) -> Result<Response, Refused> {
    let body = call.json.as_ref().filter(|body| body["query"].is_string());
    let body =
        body.ok_or_else(|| Refused::new(400, "the body is not a JSON object with a query"))?;
    let query = body["query"].as_str().unwrap_or_default();
    let name = body["operationName"].as_str().filter(|name| !name.is_empty());
    let plan = SCHEMA.plan(query, name, &body["variables"]).map_err(|message| {
        world.state.violation(format_args!("GraphQL: {message}"));
        Refused::new(400, message)
    })?;
    if !plan.undeclared.is_empty() {
        world.state.violation(format_args!("variables not declared: {:?}", plan.undeclared));
    }
    let data = select(world, &plan.fields, &Value::Null)?;
    Ok(Response::json(200, &json!({ "data": data })))
}

/// The fields of an object that were asked for.
fn select(world: &mut World, fields: &[Selected], object: &Value) -> Result<Value, Refused> {
    let mut answer = Map::new();
    for field in fields {
        let value = match (field.of.as_str(), field.name.as_str()) {
            ("Query" | "Mutation", operation) => world.operation(operation, &field.arguments)?,
            ("Project", "bucket") => world.bucket(object, &field.arguments)?,
            ("Run", "files") => world.run_files(object, &field.arguments),
            ("Run", "wandbConfig") => wandb_config(object, &field.arguments),
            (_, name) => object[name].clone(),
        };
        answer.insert(field.alias.clone(), complete(world, field, &field.kind, value)?);
    }
    Ok(Value::Object(answer))
}

fn complete(
    world: &mut World,
    field: &Selected,
    kind: &Type,
    value: Value,
) -> Result<Value, Refused> {
    match (kind, value) {
        (Type::NonNull(_), Value::Null) => {
            let Selected { of, name, .. } = field;
            Err(Refused::new(500, format!("{of}.{name} is null, but must not be")))
        }
        (Type::NonNull(inner), value) => complete(world, field, inner, value),
        (Type::List(inner), Value::Array(items)) => {
            let items = items.into_iter().map(|item| complete(world, field, inner, item));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        (Type::Named(_), object @ Value::Object(_)) => select(world, &field.fields, &object),
        (_, value) => Ok(value),
    }
}

impl World {
    fn operation(&mut self, name: &str, arguments: &Value) -> Result<Value, Refused> {
        let input = &arguments["input"];
        match name {
            "viewer" => Ok(self.viewer()),
            "serverInfo" => Ok(self.server_info()),
            "model" => Ok(self.project(arguments)),
            "artifact" => Ok(self.artifact_of_id(arguments)),
            "clientIDMapping" => Ok(self.client_id_mapping(arguments)),
            "upsertBucket" => self.upsert_bucket(input),
            "createRunFiles" => self.create_run_files(input),
            "markRunFilesUploaded" => self.mark_run_files_uploaded(input),
            "notifyScriptableRunAlert" => self.notify_run_alert(input),
            "rewindRun" => self.rewind_run(input),
            "createArtifact" => self.create_artifact(input),
            "createArtifactManifest" => self.create_artifact_manifest(input),
            "updateArtifactManifest" => self.update_artifact_manifest(input),
            "createArtifactFiles" => self.create_artifact_files(input),
            "completeMultipartUploadArtifact" => self.complete_multipart_upload(input),
            "commitArtifact" => self.commit_artifact(input),
            "useArtifact" => self.use_artifact(input),
            _ => Err(Refused::new(500, format!("{name} is in the schema only"))),
        }
    }
}

/// The parts of a run's `_wandb` that were asked for, as text; null for a run without a config.
fn wandb_config(run: &Value, arguments: &Value) -> Value {
    let Some(config) = run["config"].as_str().and_then(|text| wandb_json(text).ok()) else {
        return Value::Null;
    };
    let asked = arguments["keys"].as_array();
    let wandb = config["_wandb"]["value"].as_object().into_iter().flatten();
    let kept = wandb.filter(|(key, _)| asked.is_none_or(|asked| asked.contains(&json!(key))));
    let kept: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    Value::Object(kept).to_string().into()
}

//! The GraphQL operations, as constant texts.

use super::{Body, Request, RequestKind, Target};
use crate::json::Value;

/// An operation: its name and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    text: &'static str,
}

impl Operation {
    /// The request for this operation. The variables hold no NaN, so their text is standard JSON.
    pub(crate) fn request(self, variables: Value) -> Request {
        let body = Value::from_iter([
            ("query", Value::from(self.text)),
            ("variables", variables),
            ("operationName", Value::from(self.name)),
        ]);
        let mut json = Vec::new();
        body.write_json(&mut json);
        Request {
            kind: RequestKind::GraphQl(self.name),
            target: Target::Server("/graphql".to_owned()),
            headers: Vec::new(),
            body: Body::Json(json),
        }
    }
}

/// The operations a sync needs. Input types are named only where the official client names them.
pub(crate) mod operations {
    use super::Operation;

    pub(crate) const UPSERT_BUCKET: Operation = Operation {
        name: "UpsertBucket",
        text: "mutation UpsertBucket($id:String,$name:String,$project:String,$entity:String,\
            $groupName:String,$displayName:String,$notes:String,$commit:String,$config:JSONString,\
            $host:String,$program:String,$repo:String,$jobType:String,$sweep:String,$tags:[String!]){\
            upsertBucket(input:{id:$id,name:$name,modelName:$project,entityName:$entity,\
            groupName:$groupName,displayName:$displayName,notes:$notes,commit:$commit,config:$config,\
            host:$host,jobProgram:$program,jobRepo:$repo,jobType:$jobType,sweep:$sweep,tags:$tags}){\
            bucket{id name displayName sweepName historyLineCount project{name entity{name}}} inserted}}",
    };

    pub(crate) const RUN_RESUME_STATUS: Operation = Operation {
        name: "RunResumeStatus",
        text: "query RunResumeStatus($project:String,$entity:String,$name:String!){\
            model(name:$project,entityName:$entity){name entity{name} bucket(name:$name,missingOk:true){\
            id name summaryMetrics displayName logLineCount historyLineCount eventsLineCount historyTail \
            eventsTail config tags notes wandbConfig(keys:[\"t\"])}}}",
    };

    pub(crate) const RUN_STATE: Operation = Operation {
        name: "RunState",
        text: "query RunState($project:String,$entity:String,$name:String!){\
            model(name:$project,entityName:$entity){bucket(name:$name,missingOk:true){state}}}",
    };

    pub(crate) const RUN_FILES: Operation = Operation {
        name: "RunFiles",
        text: "query RunFiles($project:String,$entity:String,$name:String!,$names:[String!],$first:Int){\
            model(name:$project,entityName:$entity){bucket(name:$name,missingOk:true){\
            files(names:$names,first:$first){edges{node{name sizeBytes md5}}}}}}",
    };

    pub(crate) const ARTIFACT: Operation = Operation {
        name: "Artifact",
        text: "query Artifact($id:ID!){artifact(id:$id){state digest}}",
    };

    pub(crate) const REWIND_RUN: Operation = Operation {
        name: "RewindRun",
        text: "mutation RewindRun($runName:String!,$entity:String,$project:String,$metricName:String!,\
            $metricValue:Float!){rewindRun(input:{runName:$runName,entityName:$entity,\
            projectName:$project,metricName:$metricName,metricValue:$metricValue}){\
            rewoundRun{id name displayName sweepName historyLineCount config \
            project{name entity{name}}}}}",
    };

    pub(crate) const SERVER_FEATURES: Operation = Operation {
        name: "ServerFeaturesQuery",
        text: "query ServerFeaturesQuery{serverInfo{features{name isEnabled}}}",
    };

    pub(crate) const CREATE_RUN_FILES: Operation = Operation {
        name: "CreateRunFiles",
        text: "mutation CreateRunFiles($entity:String!,$project:String!,$run:String!,\
            $files:[String!]!){createRunFiles(input:{entityName:$entity,projectName:$project,\
            runName:$run,files:$files}){runID uploadHeaders files{name uploadUrl}}}",
    };

    pub(crate) const ALERT: Operation = Operation {
        name: "NotifyScriptableRunAlert",
        text: "mutation NotifyScriptableRunAlert($entityName:String!,$projectName:String!,\
            $runName:String!,$title:String!,$text:String!,$severity:AlertSeverity,\
            $waitDuration:Duration){notifyScriptableRunAlert(input:{entityName:$entityName,\
            projectName:$projectName,runName:$runName,title:$title,text:$text,severity:$severity,\
            waitDuration:$waitDuration}){success}}",
    };

    pub(crate) const CREATE_ARTIFACT: Operation = Operation {
        name: "CreateArtifact",
        text: "mutation CreateArtifact($input:CreateArtifactInput!){createArtifact(input:$input){\
            artifact{id state versionIndex artifactSequence{id latestArtifact{id}}}}}",
    };

    pub(crate) const CREATE_MANIFEST: Operation = Operation {
        name: "CreateArtifactManifest",
        text: "mutation CreateArtifactManifest($artifactID:ID!,$baseArtifactID:ID,$name:String!,\
            $digest:String!,$entityName:String!,$projectName:String!,$runName:String!,\
            $manifestType:ArtifactManifestType!,$includeUpload:Boolean!){\
            createArtifactManifest(input:{artifactID:$artifactID,baseArtifactID:$baseArtifactID,\
            name:$name,digest:$digest,entityName:$entityName,projectName:$projectName,runName:$runName,\
            type:$manifestType}){artifactManifest{id file{\
            uploadUrl @include(if:$includeUpload) uploadHeaders @include(if:$includeUpload) id}}}}",
    };

    pub(crate) const UPDATE_MANIFEST: Operation = Operation {
        name: "UpdateArtifactManifest",
        text: "mutation UpdateArtifactManifest($artifactManifestID:ID!,$digest:String,\
            $baseArtifactID:ID){updateArtifactManifest(input:{artifactManifestID:$artifactManifestID,\
            digest:$digest,baseArtifactID:$baseArtifactID}){\
            artifactManifest{id file{uploadUrl uploadHeaders}}}}",
    };

    pub(crate) const CREATE_ARTIFACT_FILES: Operation = Operation {
        name: "CreateArtifactFiles",
        text: "mutation CreateArtifactFiles($input:CreateArtifactFilesInput!){\
            createArtifactFiles(input:$input){files{edges{node{storagePath uploadUrl uploadHeaders \
            uploadMultipartUrls{uploadID uploadUrlParts{partNumber uploadUrl}} artifact{id}}}}}}",
    };

    pub(crate) const COMPLETE_MULTIPART: Operation = Operation {
        name: "CompleteMultipartUploadArtifact",
        text: "mutation CompleteMultipartUploadArtifact(\
            $completeMultipartAction:CompleteMultipartAction!,$completedParts:[UploadPartsInput!]!,\
            $artifactID:ID!,$storagePath:String!,$uploadID:String!){\
            completeMultipartUploadArtifact(input:{completeMultipartAction:$completeMultipartAction,\
            completedParts:$completedParts,artifactID:$artifactID,storagePath:$storagePath,\
            uploadID:$uploadID}){digest}}",
    };

    pub(crate) const COMMIT_ARTIFACT: Operation = Operation {
        name: "CommitArtifact",
        text: "mutation CommitArtifact($artifactID:ID!){commitArtifact(input:{artifactID:$artifactID}){\
            artifact{id versionIndex}}}",
    };

    pub(crate) const USE_ARTIFACT: Operation = Operation {
        name: "UseArtifact",
        text: "mutation UseArtifact($input:UseArtifactInput!){useArtifact(input:$input){artifact{id}}}",
    };

    pub(crate) const CLIENT_ID_MAPPING: Operation = Operation {
        name: "ClientIDMapping",
        text: "query ClientIDMapping($clientID:ID!){clientIDMapping(clientID:$clientID){serverID}}",
    };
}

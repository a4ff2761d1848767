//! `dayfly-lab up`: the lab, left running.

use std::io::Write;

use dayfly_twin::RepoId;
use tokio::sync::mpsc;

use crate::board::Board;
use crate::functions::Function;
use crate::lab::{Lab, LabConfig};
use crate::scenario::Demo;
use crate::stop::Stop;
use crate::watch::Watch;

/// A repository for experiments.
const REPOSITORY: &str = "octo-org/playground";

/// Starts the lab, explains its use, and ends it on Ctrl-C.
///
/// # Errors
/// If the lab does not start or does not end.
pub async fn run(out: &mut impl Write) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let lab = tokio::select! {
        lab = Lab::start(LabConfig::new()?) => lab?,
        () = stop.asked() => return Ok(()),
    };
    let repository = lab.twin().create_repo(REPOSITORY);
    let played = tokio::select! {
        played = play(&lab, repository, out) => played,
        () = stop.asked() => Ok(()),
    };
    lab.shutdown().await?;
    played
}

/// Prints what happens, forever, and starts a run at every line of input.
async fn play(lab: &Lab, repository: RepoId, out: &mut impl Write) -> anyhow::Result<()> {
    let function = lab.cloud().deployment().function(Function::Dashboard)?;
    let board = Board::start(lab.aws(), function).await?;
    explain(lab, &board, out)?;
    let files = Demo::Main.files(lab);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let mut watch = Watch::new(lab);
    let mut lines = input();
    loop {
        tokio::select! {
            observation = watch.next() => watch.print(&observation?, out)?,
            Some(()) = lines.recv() => drop(lab.twin().push(repository, "Train on a GPU", &files)?),
        }
    }
}

/// Sends every line of the standard input, from a thread that ends with the program: the runtime would
/// wait at its end for a blocking read.
fn input() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn explain(lab: &Lab, board: &Board, out: &mut impl Write) -> anyhow::Result<()> {
    let twin = lab.twin();
    let deployment = lab.cloud().deployment();
    let endpoint = lab.aws().endpoint();
    let region = lab.aws().region();
    writeln!(
        out,
        "\
The lab is up. Enter pushes a commit whose workflow wants a GPU; Ctrl-C ends everything.

  GitHub    {github}   (repository {REPOSITORY})
  webhook   {webhook}
  board     {board}   (what CloudWatch's widget shows; ?theme=dark, ?width=360)
  AWS       {endpoint}   (region {region}, any AWS CLI: --endpoint-url, access key `test`)

Send a webhook of your own:

  body='{{\"zen\": \"Design for failure.\", \"hook_id\": 1}}'
  signature=$(printf %s \"$body\" | openssl dgst -sha256 -hmac '{secret}' -r | cut -d' ' -f1)
  curl -i {webhook}/ -H 'content-type: application/json' \\
    -H 'x-github-event: ping' -H \"x-github-delivery: $(uuidgen)\" \\
    -H \"x-hub-signature-256: sha256=$signature\" -d \"$body\"

Look at the table:

  AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test aws --endpoint-url {endpoint} \\
    --region {region} dynamodb scan --table-name {table}",
        github = twin.url(),
        board = board.url(),
        webhook = lab.cloud().webhook_door().url(),
        secret = twin.webhook_secret(),
        table = deployment.output("TableName")?,
    )?;
    out.flush()?;
    Ok(())
}

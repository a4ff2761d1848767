//! Matrices and `${{ … }}` expressions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::condition::{Condition, Value as Late};
use crate::workflow::{JobDoc, JobSpec, OneOrMany, OutputSpec, RunContext, StepDoc, StepSpec};

type Combination = Vec<(String, Value)>;

/// Expands a job of a workflow by its matrix.
pub(crate) fn job(
    key: &str,
    doc: &JobDoc,
    workflow_env: &BTreeMap<String, Value>,
    context: &RunContext,
    specs: &mut Vec<JobSpec>,
) -> Result<(), String> {
    let combinations = doc
        .strategy
        .as_ref()
        .map_or_else(|| vec![Combination::new()], |strategy| combinations(&strategy.matrix));
    for combination in combinations {
        let names = Names {
            context,
            matrix: &combination,
        };
        let mut env = BTreeMap::new();
        for (name, value) in workflow_env.iter().chain(&doc.env) {
            env.insert(name.clone(), names.fill(&plain(value))?);
        }
        let labels = match &doc.runs_on {
            OneOrMany::One(one) => vec![names.fill(one)?],
            OneOrMany::Many(many) => many.iter().map(|label| names.fill(label)).collect::<Result<_, _>>()?,
        };
        specs.push(JobSpec {
            key: key.to_owned(),
            name: shown_name(key, doc, &combination, &names)?,
            labels,
            needs: doc.needs.as_ref().map(OneOrMany::to_vec).unwrap_or_default(),
            condition: doc
                .condition
                .as_deref()
                .map(|text| Condition::parse(text, &context.github))
                .transpose()?,
            continue_on_error: doc.continue_on_error,
            outputs: doc
                .outputs
                .iter()
                .map(|(name, text)| Ok((name.clone(), output(text)?)))
                .collect::<Result<_, String>>()?,
            environment: doc.environment.clone(),
            fail_fast: doc.strategy.as_ref().is_some_and(|one| one.fail_fast),
            env,
            steps: doc
                .steps
                .iter()
                .map(|one| step(one, &names))
                .collect::<Result<_, _>>()?,
        });
    }
    Ok(())
}

/// `${{ steps.<id>.outputs.<name> }}`.
fn output(text: &str) -> Result<OutputSpec, String> {
    let inner = text
        .trim()
        .strip_prefix("${{")
        .and_then(|text| text.strip_suffix("}}"))
        .unwrap_or_default();
    match inner.trim().split('.').collect::<Vec<_>>().as_slice() {
        ["steps", step, "outputs", name] => Ok(OutputSpec {
            step: (*step).to_owned(),
            name: (*name).to_owned(),
        }),
        _ => Err(format!("the twin does not know the output `{text}`")),
    }
}

/// A text of the whole workflow, its expressions filled in.
pub(crate) fn text(text: &str, context: &RunContext) -> Result<String, String> {
    Names { context, matrix: &[] }.fill(text)
}

/// Fills in the expressions that were left for later, as far as `value` knows them.
pub(crate) fn late(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${{") {
        let Some((expression, after)) = from.split_once("}}") else {
            break;
        };
        filled.push_str(before);
        filled.push_str(&value(expression.trim()).unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn shown_name(key: &str, doc: &JobDoc, combination: &Combination, names: &Names<'_>) -> Result<String, String> {
    let uses_matrix = doc.name.as_ref().is_some_and(|name| name.contains("${{"));
    let name = names.fill(doc.name.as_deref().unwrap_or(key))?;
    if combination.is_empty() || uses_matrix {
        return Ok(name);
    }
    let values: Vec<String> = combination.iter().map(|(_, value)| plain(value)).collect();
    Ok(format!("{name} ({})", values.join(", ")))
}

fn step(doc: &StepDoc, names: &Names<'_>) -> Result<StepSpec, String> {
    let run = doc.run.as_deref().map(|run| names.fill(run)).transpose()?;
    let name = match (&doc.name, &run, &doc.uses) {
        (Some(name), _, _) => names.fill(name)?,
        (None, Some(run), _) => format!("Run {}", run.lines().next().unwrap_or_default()),
        (None, None, Some(uses)) => format!("Run {uses}"),
        (None, None, None) => return Err("a step has neither `run` nor `uses`".to_owned()),
    };
    let mut env = BTreeMap::new();
    for (name, value) in &doc.env {
        env.insert(name.clone(), names.fill(&plain(value))?);
    }
    Ok(StepSpec {
        id: doc.id.clone(),
        name,
        run,
        env,
    })
}

/// The product of the lists, less `exclude`, and `include`'s entries: added to the combinations that
/// they agree with, or as combinations of their own.
fn combinations(matrix: &BTreeMap<String, Vec<Value>>) -> Vec<Combination> {
    let mut all = vec![Combination::new()];
    for (axis, values) in matrix.iter().filter(|(axis, _)| !is_special(axis)) {
        all = all
            .iter()
            .flat_map(|combination| {
                values.iter().map(move |value| {
                    let mut longer = combination.clone();
                    longer.push((axis.clone(), value.clone()));
                    longer
                })
            })
            .collect();
    }
    let has_axes = matrix.keys().any(|axis| !is_special(axis));
    if !has_axes {
        all.clear();
    }
    for excluded in entries(matrix, "exclude") {
        all.retain(|combination| !excluded.iter().all(|pair| combination.contains(pair)));
    }
    let axes: Vec<&String> = matrix.keys().filter(|axis| !is_special(axis)).collect();
    for included in entries(matrix, "include") {
        let mut found = false;
        for combination in &mut all {
            let agrees = included
                .iter()
                .filter(|(axis, _)| axes.contains(&axis))
                .all(|pair| combination.contains(pair));
            if agrees && has_axes {
                combination.extend(included.iter().filter(|(axis, _)| !axes.contains(&axis)).cloned());
                found = true;
            }
        }
        if !found {
            all.push(included);
        }
    }
    all
}

fn is_special(axis: &str) -> bool {
    axis == "include" || axis == "exclude"
}

fn entries(matrix: &BTreeMap<String, Vec<Value>>, which: &str) -> Vec<Combination> {
    matrix
        .get(which)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|entry| entry.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Names<'a> {
    context: &'a RunContext,
    matrix: &'a [(String, Value)],
}

impl Names<'_> {
    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("${{") {
            let (expression, after) = from
                .split_once("}}")
                .ok_or_else(|| format!("`${{{{` without `}}}}` in `{text}`"))?;
            filled.push_str(before);
            filled.push_str(&self.value(expression.trim())?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, expression: &str) -> Result<String, String> {
        let unknown = || format!("the twin does not know the expression `{expression}`");
        let (root, name) = expression.split_once('.').ok_or_else(unknown)?;
        match root {
            "matrix" => self
                .matrix
                .iter()
                .find(|(axis, _)| axis == name)
                .map(|(_, value)| plain(value))
                .ok_or_else(unknown),
            // Its needs have not finished yet.
            "needs" if Late::of_needs(expression).is_some() => Ok(format!("${{{{ {expression} }}}}")),
            "github" => self.context.github.get(name).cloned().ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

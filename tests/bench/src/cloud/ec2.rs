//! The part of EC2 for fleets: `CreateFleet` (instant), `DescribeInstances`, `DescribeImages`,
//! `DescribeSpotPriceHistory`, `DescribeSubnets`, `TerminateInstances`.
//!
//! Capacity is unlimited. Source of the shapes: Amazon EC2 API reference.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use uuid::Uuid;

use super::reply::Reply;

/// The parameters of a request, in order: `InstanceId.1` → `i-…`.
pub type Form = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Instance {
    /// `i-` and 17 hexadecimal digits.
    pub id: String,
    pub kind: String,
    pub spot: bool,
    pub terminated: bool,
    subnet: String,
    image: String,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub struct Ec2 {
    instances: BTreeMap<String, Instance>,
    /// `ClientToken` to the fleet's instances: the same call twice is one fleet.
    fleets: BTreeMap<String, Vec<String>>,
}

impl Ec2 {
    /// Makes a call; `None` if the action is not implemented.
    pub fn call(&mut self, form: &Form) -> Option<Reply> {
        Some(match form.get("Action")?.as_str() {
            "CreateFleet" => self.create_fleet(form),
            "DescribeInstances" => self.describe_instances(form)?,
            "TerminateInstances" => self.terminate(form),
            "DescribeImages" => describe_images(form),
            "DescribeSpotPriceHistory" => spot_prices(form),
            "DescribeSubnets" => describe_subnets(form)?,
            _ => return None,
        })
    }

    /// Returns every instance ever launched.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// Whether the instance exists and was not terminated.
    #[must_use]
    pub fn is_alive(&self, id: &str) -> bool {
        self.instances.get(id).is_some_and(|instance| !instance.terminated)
    }

    fn create_fleet(&mut self, form: &Form) -> Reply {
        let token = form
            .get("ClientToken")
            .cloned()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let launched = match self.fleets.get(&token) {
            Some(launched) => launched.clone(),
            None => self.launch(form),
        };
        let mut sets = String::new();
        for instance in launched.iter().filter_map(|id| self.instances.get(id)) {
            // Writing to a `String` cannot fail.
            let _ = write!(
                sets,
                "<item><launchTemplateAndOverrides><launchTemplateSpecification>\
                 <launchTemplateId>lt-0bench</launchTemplateId><version>1</version>\
                 </launchTemplateSpecification><overrides><instanceType>{kind}</instanceType>\
                 <subnetId>{subnet}</subnetId><availabilityZone>{zone}</availabilityZone>\
                 </overrides></launchTemplateAndOverrides><lifecycle>{lifecycle}</lifecycle>\
                 <instanceIds><item>{id}</item></instanceIds><instanceType>{kind}</instanceType>\
                 </item>",
                kind = instance.kind,
                subnet = instance.subnet,
                zone = zone_of(&instance.subnet),
                lifecycle = if instance.spot { "spot" } else { "on-demand" },
                id = instance.id,
            );
        }
        let reply = answer(
            "CreateFleet",
            &format!(
                "<fleetId>fleet-{token}</fleetId><errorSet/>\
                 <fleetInstanceSet>{sets}</fleetInstanceSet>"
            ),
        );
        self.fleets.insert(token, launched);
        reply
    }

    fn launch(&mut self, form: &Form) -> Vec<String> {
        let overrides = "LaunchTemplateConfigs.1.Overrides.1";
        let parameter = |name: &str| form.get(name).cloned();
        let wanted = parameter("TargetCapacitySpecification.TotalTargetCapacity");
        let wanted: usize = wanted.and_then(|count| count.parse().ok()).unwrap_or(1);
        let kind = parameter("TargetCapacitySpecification.DefaultTargetCapacityType");
        let template = Instance {
            id: String::new(),
            kind: parameter(&format!("{overrides}.InstanceType")).unwrap_or_default(),
            spot: kind.as_deref() == Some("spot"),
            terminated: false,
            subnet: parameter(&format!("{overrides}.SubnetId")).unwrap_or_default(),
            image: parameter(&format!("{overrides}.ImageId")).unwrap_or_default(),
            tags: instance_tags(form),
        };
        (0..wanted)
            .map(|_| {
                let id = format!("i-{}", &Uuid::new_v4().simple().to_string()[..17]);
                let instance = Instance {
                    id: id.clone(),
                    ..template.clone()
                };
                self.instances.insert(id.clone(), instance);
                id
            })
            .collect()
    }

    /// `None` if a filter is not implemented.
    fn describe_instances(&self, form: &Form) -> Option<Reply> {
        let ids = list(form, "InstanceId");
        let filters = filters(form);
        let mut reservations = String::new();
        for instance in self.instances.values() {
            if !ids.is_empty() && !ids.contains(&instance.id.as_str()) {
                continue;
            }
            let mut fits = true;
            for (name, values) in &filters {
                fits &= instance.fits(name, values)?;
            }
            if fits {
                reservations.push_str(&instance.xml());
            }
        }
        let body = format!("<reservationSet>{reservations}</reservationSet>");
        Some(answer("DescribeInstances", &body))
    }

    fn terminate(&mut self, form: &Form) -> Reply {
        let ids = list(form, "InstanceId");
        if let Some(unknown) = ids.iter().find(|id| !self.instances.contains_key(**id)) {
            return error("InvalidInstanceID.NotFound", unknown);
        }
        let mut set = String::new();
        for id in ids {
            if let Some(instance) = self.instances.get_mut(id) {
                let before = instance.state();
                instance.terminated = true;
                let _ = write!(
                    set,
                    "<item><instanceId>{id}</instanceId>\
                     <currentState><code>32</code><name>shutting-down</name></currentState>\
                     <previousState>{before}</previousState></item>"
                );
            }
        }
        answer("TerminateInstances", &format!("<instancesSet>{set}</instancesSet>"))
    }
}

impl Instance {
    /// Returns the value of a tag, or an empty text.
    #[must_use]
    pub fn tag(&self, key: &str) -> &str {
        self.tags.get(key).map_or("", String::as_str)
    }

    fn state(&self) -> &'static str {
        if self.terminated {
            "<code>48</code><name>terminated</name>"
        } else {
            "<code>16</code><name>running</name>"
        }
    }

    fn fits(&self, filter: &str, values: &[&str]) -> Option<bool> {
        let own = match filter {
            "instance-state-name" if self.terminated => "terminated",
            "instance-state-name" => "running",
            "instance-id" => &self.id,
            "tag-key" => return Some(values.iter().any(|key| self.tags.contains_key(*key))),
            _ => {
                let key = filter.strip_prefix("tag:")?;
                return Some(self.tags.get(key).is_some_and(|tag| values.contains(&tag.as_str())));
            }
        };
        Some(values.contains(&own))
    }

    fn xml(&self) -> String {
        let tags = self.tags.iter().fold(String::new(), |mut tags, (key, value)| {
            let _ = write!(tags, "<item><key>{key}</key><value>{value}</value></item>");
            tags
        });
        let lifecycle = if self.spot {
            "<instanceLifecycle>spot</instanceLifecycle>"
        } else {
            ""
        };
        format!(
            "<item><reservationId>r-{id}</reservationId><ownerId>123456789012</ownerId>\
             <instancesSet><item><instanceId>{id}</instanceId><imageId>{image}</imageId>\
             <instanceState>{state}</instanceState><instanceType>{kind}</instanceType>\
             <launchTime>2026-01-01T00:00:00.000Z</launchTime>\
             <placement><availabilityZone>{zone}</availabilityZone></placement>\
             <subnetId>{subnet}</subnetId><architecture>x86_64</architecture>{lifecycle}\
             <tagSet>{tags}</tagSet></item></instancesSet></item>",
            id = self.id,
            image = self.image,
            state = self.state(),
            kind = self.kind,
            subnet = self.subnet,
            zone = zone_of(&self.subnet),
        )
    }
}

/// Returns the values of a list parameter: `name.1`, `name.2`, … in any order.
fn list<'a>(form: &'a Form, name: &str) -> Vec<&'a str> {
    let is_entry = |key: &str| {
        key.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
    };
    form.iter()
        .filter(|(key, _)| is_entry(key))
        .map(|(_, value)| value.as_str())
        .collect()
}

fn filters(form: &Form) -> Vec<(&str, Vec<&str>)> {
    (1..)
        .map_while(|index| {
            let name = form.get(&format!("Filter.{index}.Name"))?;
            Some((name.as_str(), list(form, &format!("Filter.{index}.Value"))))
        })
        .collect()
}

fn instance_tags(form: &Form) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for specification in 1.. {
        let prefix = format!("TagSpecification.{specification}");
        let Some(resource) = form.get(&format!("{prefix}.ResourceType")) else {
            break;
        };
        if resource != "instance" {
            continue;
        }
        tags.extend((1..).map_while(|tag| {
            let key = form.get(&format!("{prefix}.Tag.{tag}.Key"))?;
            let value = form.get(&format!("{prefix}.Tag.{tag}.Value"));
            Some((key.clone(), value.cloned().unwrap_or_default()))
        }));
    }
    tags
}

fn describe_images(form: &Form) -> Reply {
    let images = list(form, "ImageId").into_iter().fold(String::new(), |mut images, id| {
        let _ = write!(
            images,
            "<item><imageId>{id}</imageId><imageState>available</imageState>\
                 <architecture>x86_64</architecture><rootDeviceName>/dev/xvda</rootDeviceName>\
                 <rootDeviceType>ebs</rootDeviceType><name>bench</name>\
                 <creationDate>2026-01-01T00:00:00.000Z</creationDate>\
                 <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs>\
                 <volumeSize>30</volumeSize><volumeType>gp3</volumeType>\
                 <snapshotId>snap-0bench</snapshotId></ebs></item></blockDeviceMapping></item>"
        );
        images
    });
    answer("DescribeImages", &format!("<imagesSet>{images}</imagesSet>"))
}

/// Returns the zone of a subnet: one each, by the last digit of its id.
fn zone_of(subnet: &str) -> String {
    let digit = subnet.bytes().last().map_or(0, |last| last % 3);
    format!("us-east-1{}", char::from(b'a' + digit))
}

/// Returns every requested subnet; `None` if a filter is not implemented.
fn describe_subnets(form: &Form) -> Option<Reply> {
    let mut asked = list(form, "SubnetId");
    for (name, values) in filters(form) {
        if name != "subnet-id" {
            return None;
        }
        asked.extend(values);
    }
    let subnets = asked.into_iter().fold(String::new(), |mut subnets, id| {
        let _ = write!(
            subnets,
            "<item><subnetId>{id}</subnetId><state>available</state><vpcId>vpc-0bench</vpcId>\
             <availabilityZone>{}</availabilityZone></item>",
            zone_of(id)
        );
        subnets
    });
    Some(answer("DescribeSubnets", &format!("<subnetSet>{subnets}</subnetSet>")))
}

fn spot_prices(form: &Form) -> Reply {
    let zone = form.get("AvailabilityZone").map_or("us-east-1a", String::as_str);
    let prices = list(form, "InstanceType")
        .into_iter()
        .fold(String::new(), |mut prices, kind| {
            let _ = write!(
                prices,
                "<item><instanceType>{kind}</instanceType>\
                 <productDescription>Linux/UNIX</productDescription>\
                 <spotPrice>0.158000</spotPrice><timestamp>2026-01-01T00:00:00.000Z</timestamp>\
                 <availabilityZone>{zone}</availabilityZone></item>"
            );
            prices
        });
    answer(
        "DescribeSpotPriceHistory",
        &format!("<spotPriceHistorySet>{prices}</spotPriceHistorySet>"),
    )
}

fn answer(action: &str, body: &str) -> Reply {
    Reply::xml(format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>{id}</requestId>{body}</{action}Response>",
        id = Uuid::new_v4()
    ))
}

fn error(code: &str, about: &str) -> Reply {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{code}: {about}</Message></Error>\
         </Errors><RequestID>{id}</RequestID></Response>",
        id = Uuid::new_v4()
    );
    Reply::text(StatusCode::BAD_REQUEST, "text/xml;charset=UTF-8", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(parameters: &[(&str, &str)]) -> Form {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        parameters.iter().map(owned).collect()
    }

    fn fleet(token: &str) -> Form {
        fleet_of(token, "1")
    }

    fn fleet_of(token: &str, count: &str) -> Form {
        form(&[
            ("Action", "CreateFleet"),
            ("ClientToken", token),
            ("TargetCapacitySpecification.TotalTargetCapacity", count),
            ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
            ("LaunchTemplateConfigs.1.Overrides.1.InstanceType", "g5.xlarge"),
            ("LaunchTemplateConfigs.1.Overrides.1.SubnetId", "subnet-1"),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "dayfly:stack"),
            ("TagSpecification.1.Tag.1.Value", "bench"),
        ])
    }

    #[test]
    fn the_same_fleet_asked_for_twice_is_one_instance() {
        let mut ec2 = Ec2::default();
        let first = ec2.call(&fleet("t")).unwrap().body_text();
        assert!(first.contains("<lifecycle>spot</lifecycle>"), "{first}");
        ec2.call(&fleet("t"));
        assert_eq!(ec2.instances().count(), 1);
        ec2.call(&fleet("u"));
        assert_eq!(ec2.instances().count(), 2);
    }

    #[test]
    fn a_fleet_has_as_many_instances_as_it_is_asked_for() {
        let mut ec2 = Ec2::default();
        let answer = ec2.call(&fleet_of("t", "50")).unwrap().body_text();
        assert_eq!(answer.matches("<instanceIds>").count(), 50);
        assert_eq!(
            ec2.instances().filter(|one| one.tag("dayfly:stack") == "bench").count(),
            50
        );
        assert_eq!(
            ec2.call(&fleet_of("t", "50"))
                .unwrap()
                .body_text()
                .matches("<instanceIds>")
                .count(),
            50
        );
        assert_eq!(ec2.instances().count(), 50);
    }

    #[test]
    fn a_subnet_lies_where_its_instances_do() {
        let asked = form(&[
            ("Action", "DescribeSubnets"),
            ("Filter.1.Name", "subnet-id"),
            ("Filter.1.Value.1", "subnet-1"),
            ("Filter.1.Value.2", "subnet-2"),
        ]);
        let mut ec2 = Ec2::default();
        let answer = ec2.call(&asked).unwrap().body_text();
        assert_eq!(answer.matches("<item>").count(), 2);
        assert_ne!(zone_of("subnet-1"), zone_of("subnet-2"));
        let launched = ec2.call(&fleet("t")).unwrap().body_text();
        let zone = format!("<availabilityZone>{}</availabilityZone>", zone_of("subnet-1"));
        assert!(
            answer.contains(&zone) && launched.contains(&zone),
            "{answer} {launched}"
        );
    }

    #[test]
    fn instances_are_found_by_tag_and_state() {
        let mut ec2 = Ec2::default();
        ec2.call(&fleet("t"));
        let id = ec2.instances().next().unwrap().id.clone();
        let mut describe = form(&[
            ("Action", "DescribeInstances"),
            ("Filter.1.Name", "tag:dayfly:stack"),
            ("Filter.1.Value.1", "bench"),
            ("Filter.2.Name", "instance-state-name"),
            ("Filter.2.Value.1", "running"),
        ]);
        assert!(ec2.call(&describe).unwrap().body_text().contains(&id));
        let terminate = form(&[("Action", "TerminateInstances"), ("InstanceId.1", &id)]);
        ec2.call(&terminate);
        assert!(!ec2.call(&describe).unwrap().body_text().contains(&id));
        describe.insert("Filter.2.Name".to_owned(), "hypervisor".to_owned());
        assert!(ec2.call(&describe).is_none());
    }

    #[test]
    fn an_instance_that_never_was_cannot_be_terminated() {
        let request = form(&[("Action", "TerminateInstances"), ("InstanceId.1", "i-0")]);
        let reply = Ec2::default().call(&request).unwrap();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(reply.body_text().contains("InvalidInstanceID.NotFound"));
    }
}

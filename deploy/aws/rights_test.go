package aws

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What each function does with AWS, read off the code: every one logs, is in
// the VPC, and connects to the database (config.Target); Plan and Prepare begin
// runs (source.List and samples, the configuration, conduct.Running), Plan
// writes manifests (steps.Setting.Put), copies read objects, and what takes the
// original system's events looks the table up in the configuration.
var rights = map[string][]string{
	"Plan":      {"log", "network", "parameter", "list", "read", "look", "manifests"},
	"Prepare":   {"log", "network", "parameter", "list", "read", "look"},
	"Copy":      {"log", "network", "parameter", "read"},
	"CopyLarge": {"log", "network", "parameter", "read"},
	"Check":     {"log", "network", "parameter"},
	"Build":     {"log", "network", "parameter"},
	"Analyze":   {"log", "network", "parameter"},
	"Swap":      {"log", "network", "parameter"},
	"Cleanup":   {"log", "network", "parameter"},
}

// grants says what each of these words takes, as "action resource".
var grants = map[string][]string{
	"log": {"logs:CreateLogStream [FunctionLogs.Arn]", "logs:PutLogEvents [FunctionLogs.Arn]"},
	"network": {"ec2:CreateNetworkInterface *", "ec2:DescribeNetworkInterfaces *", "ec2:DescribeSubnets *", "ec2:DeleteNetworkInterface *",
		"ec2:AssignPrivateIpAddresses *", "ec2:UnassignPrivateIpAddresses *"},
	"parameter": {"ssm:GetParameter arn:aws:ssm:eu-west-1:123456789012:parameter/bucketload/connection",
		"kms:Decrypt arn:aws:kms:eu-west-1:123456789012:key/*"},
	"secret":        {"secretsmanager:GetSecretValue " + secret, "kms:Decrypt arn:aws:kms:eu-west-1:123456789012:key/*"},
	"log in":        {"rds-db:connect arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC123/loader"},
	"list":          {"s3:ListBucket [SourceBucket.Arn]"},
	"read":          {"s3:GetObject [SourceBucket.Arn]/*"},
	"delete":        {"s3:DeleteObject [SourceBucket.Arn]/*"},
	"list others":   {"s3:ListBucket arn:aws:s3:::one", "s3:ListBucket arn:aws:s3:::two"},
	"delete others": {"s3:DeleteObject arn:aws:s3:::one/*", "s3:DeleteObject arn:aws:s3:::two/*"},
	"read others":   {"s3:GetObject arn:aws:s3:::one/*", "s3:GetObject arn:aws:s3:::two/*"},
	"configuration": {"s3:GetObject arn:aws:s3:::settings/loads/bucketload.yaml"},
	"look":          {"states:DescribeExecution arn:aws:states:eu-west-1:123456789012:execution:loads:*"},
	"manifests":     {"s3:PutObject [LogsBucket.Arn]/runs/*"},
}

// TestRightsOfFunctions: each may do what it does, and no more.
func TestRightsOfFunctions(t *testing.T) {
	of := func(words ...string) []string {
		var all []string
		for _, word := range words {
			all = append(all, grants[word]...)
		}
		slices.Sort(all)
		return all
	}
	variant := func(name string, parameters map[string]string, change func(function string, words []string) []string) {
		t.Run(name, func(t *testing.T) {
			s := deploy(t, template(t), parameters)
			for _, function := range slices.Sorted(maps.Keys(rights)) {
				want := of(change(function, slices.Clone(rights[function]))...)
				if got := allowed(s, s.roleOf(function+"Function")); !slices.Equal(got, want) {
					t.Errorf("%s may\n\t%s\nand is to\n\t%s", function, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
				}
			}
		})
	}
	without := func(words []string, word string) []string {
		return slices.DeleteFunc(words, func(w string) bool { return w == word })
	}
	variant("private", private, func(_ string, words []string) []string { return words })
	variant("outside", outside, func(_ string, words []string) []string { return without(words, "network") })
	variant("everything", everything, func(function string, words []string) []string {
		words = append(without(words, "parameter"), "secret", "log in")
		if slices.Contains([]string{"Swap", "Cleanup"}, function) {
			words = append(words, "read")
		}
		if slices.Contains([]string{"Plan", "Prepare", "Swap", "Cleanup"}, function) {
			words = append(words, "delete")
		}
		for _, word := range []string{"list", "read", "delete"} {
			if slices.Contains(words, word) {
				words = append(words, word+" others")
			}
		}
		if slices.Contains([]string{"Plan", "Prepare", "Copy", "Swap", "Cleanup"}, function) {
			words = append(words, "configuration")
		}
		return words
	})
}

// TestRightsOfOthers: the state machine, the database, the schedule.
func TestRightsOfOthers(t *testing.T) {
	s := deploy(t, template(t), everything)
	execution := "arn:aws:states:eu-west-1:123456789012:execution:loads"
	flow := []string{
		"sns:Publish [Topic]", "kms:GenerateDataKey [TopicKey.Arn]", "kms:Decrypt [TopicKey.Arn]",
		"s3:GetObject [LogsBucket.Arn]/runs/*", "s3:PutObject [LogsBucket.Arn]/runs/*",
		"s3:ListMultipartUploadParts [LogsBucket.Arn]/runs/*", "s3:AbortMultipartUpload [LogsBucket.Arn]/runs/*",
		"states:StartExecution arn:aws:states:eu-west-1:123456789012:stateMachine:loads",
		"xray:PutTraceSegments *", "xray:PutTelemetryRecords *", "xray:GetSamplingRules *", "xray:GetSamplingTargets *",
	}
	for _, function := range s.ofType("AWS::Serverless::Function") {
		flow = append(flow, "lambda:InvokeFunction ["+function+".Arn]")
	}
	for _, action := range []string{"CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
		"PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups"} {
		flow = append(flow, "logs:"+action+" *")
	}
	labels := []string{""}
	_, states := machine(t)
	walk(states, nil, func(_ string, m, _ *state) {
		if m.Label != "" {
			labels = append(labels, "/"+m.Label)
		}
	})
	for _, label := range labels {
		for _, action := range []string{"DescribeExecution", "StopExecution", "RedriveExecution"} {
			flow = append(flow, "states:"+action+" "+execution+label+":*")
		}
	}
	for role, want := range map[string][]string{
		"MachineRole":  flow,
		"RDSRole":      slices.Concat(grants["list"], grants["read"], grants["list others"], grants["read others"]),
		"ScheduleRole": {"states:StartExecution [StateMachine]"},
	} {
		slices.Sort(want)
		if got := allowed(s, role); !slices.Equal(got, want) {
			t.Errorf("%s may\n\t%s\nand is to\n\t%s", role, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	if got := at(s.resources["StateMachine"], "Properties", "DefinitionSubstitutions", "Topic"); got != "[Topic]" {
		t.Errorf("the machine publishes to %v", got)
	}
	if s.resources["StateMachine"].(object)["Properties"].(object)["Name"] != "loads" {
		t.Error("the machine's role names the machine by another name")
	}
}

// TestTrust: who may take on a role, and for what.
func TestTrust(t *testing.T) {
	s := deploy(t, template(t), everything)
	for _, name := range s.ofType("AWS::IAM::Role") {
		statements := at(s.resources[name], "Properties", "AssumeRolePolicyDocument", "Statement").([]any)
		if len(statements) != 1 || at(statements[0], "Action") != "sts:AssumeRole" {
			t.Errorf("%s trusts %v", name, statements)
			continue
		}
		service := at(statements[0], "Principal", "Service")
		account := at(statements[0], "Condition", "StringEquals", "aws:SourceAccount")
		switch want := map[string]string{"MachineRole": "states", "RDSRole": "rds", "ScheduleRole": "scheduler"}[name]; {
		case want == "" && service != "lambda.amazonaws.com", want != "" && service != want+".amazonaws.com":
			t.Errorf("%s trusts %v", name, service)
		case want != "" && account != pseudo["AWS::AccountId"]:
			t.Errorf("%s trusts %v on behalf of anybody", name, service)
		case name == "RDSRole" && at(statements[0], "Condition", "StringEquals", "aws:SourceArn") != s.parameters["RDSDatabaseArn"]:
			t.Errorf("%s trusts any database", name)
		}
	}
}

// TestWildcards: no action has one, and no resource that can be named.
func TestWildcards(t *testing.T) {
	// Actions that take no resource, by the service authorization reference; those
	// of ec2 are what Lambda asks of a role with a VPC, on all resources.
	nameless := map[string]bool{}
	for _, grant := range append(grants["network"], "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
		"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
		"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups") {
		action, _, _ := strings.Cut(grant, " ")
		nameless[action] = true
	}
	for _, parameters := range []map[string]string{private, everything, outside} {
		s := deploy(t, template(t), parameters)
		for _, name := range slices.Concat(s.ofType("AWS::IAM::Role"), s.ofType("AWS::IAM::ManagedPolicy")) {
			for _, statement := range s.own(name) {
				for _, action := range texts(at(statement, "Action")) {
					for _, resource := range texts(at(statement, "Resource")) {
						switch before, wild := strings.CutSuffix(resource, "*"); {
						case strings.Contains(action, "*"):
							t.Errorf("%s: action %s", name, action)
						case !wild && !strings.Contains(resource, "*"):
						case resource == "*" && nameless[action]:
						case strings.HasSuffix(before, "/") && strings.HasPrefix(action, "s3:"): // the objects of a bucket
						case strings.HasSuffix(before, ":") && strings.Contains(before, ":execution:loads"): // the executions of the machine
						case strings.HasSuffix(before, ":key/") && at(statement, "Condition", "StringEquals", "kms:ViaService") != nil:
							// whichever key the secret has, and only for it
							context, _ := json.Marshal(at(statement, "Condition", "StringEquals"))
							if !strings.Contains(string(context), `"kms:EncryptionContext:`) {
								t.Errorf("%s: %s for anything that the service encrypts", name, action)
							}
						default:
							t.Errorf("%s: %s on %s", name, action, resource)
						}
					}
				}
			}
		}
	}
}

// TestBuckets: encrypted, private, by TLS alone, and not lost with the stack.
func TestBuckets(t *testing.T) {
	s := deploy(t, template(t), private)
	buckets := s.ofType("AWS::S3::Bucket")
	if !slices.Equal(buckets, []string{"LogsBucket", "SourceBucket"}) {
		t.Fatalf("buckets %v", buckets)
	}
	for _, name := range buckets {
		r := s.resources[name].(object)
		if r["DeletionPolicy"] != "Retain" || r["UpdateReplacePolicy"] != "Retain" {
			t.Errorf("%s is deleted with the stack", name)
		}
		rules := at(r, "Properties", "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)
		if at(rules[0], "ServerSideEncryptionByDefault", "SSEAlgorithm") != "AES256" {
			t.Errorf("%s is encrypted by %v", name, rules)
		}
		for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if at(r, "Properties", "PublicAccessBlockConfiguration", block) != true {
				t.Errorf("%s has no %s", name, block)
			}
		}
		if at(r, "Properties", "BucketName") != nil {
			t.Errorf("%s has a name of its own: a second stack could not have it", name)
		}
		policy := s.resources[name+"Policy"].(object)["Properties"].(object)
		statement := at(policy, "PolicyDocument", "Statement").([]any)[0]
		if policy["Bucket"] != "["+name+"]" || at(statement, "Effect") != "Deny" || at(statement, "Condition", "Bool", "aws:SecureTransport") != "false" ||
			!slices.Equal(texts(at(statement, "Resource")), []string{"[" + name + ".Arn]", "[" + name + ".Arn]/*"}) {
			t.Errorf("%s can be used without TLS: %v", name, policy)
		}
	}
	lifecycle := at(s.resources["LogsBucket"], "Properties", "LifecycleConfiguration", "Rules").([]any)
	if !slices.ContainsFunc(lifecycle, func(r any) bool {
		return at(r, "Prefix") == "runs/" && at(r, "ExpirationInDays") == s.parameters["LogRetentionDays"]
	}) {
		t.Errorf("the runs' results are kept for ever: %v", lifecycle)
	}
}

// TestNotices: alarms reach the topic, which is encrypted with a key that they may use.
func TestNotices(t *testing.T) {
	s := deploy(t, template(t), everything)
	if got := at(s.resources["Topic"], "Properties", "KmsMasterKeyId"); got != "[TopicKey]" {
		t.Errorf("the topic's key is %v", got)
	}
	for name, path := range map[string][]string{"TopicKey": {"Properties", "KeyPolicy", "Statement"}, "TopicPolicy": {"Properties", "PolicyDocument", "Statement"}} {
		if !slices.ContainsFunc(at(s.resources[name], path...).([]any), func(statement any) bool {
			return at(statement, "Effect") == "Allow" && at(statement, "Principal", "Service") == "cloudwatch.amazonaws.com"
		}) {
			t.Errorf("%s does not let alarms in", name)
		}
	}
	watched := []string{}
	for _, name := range s.ofType("AWS::CloudWatch::Alarm") {
		p := s.resources[name].(object)["Properties"].(object)
		if !slices.Equal(texts(p["AlarmActions"]), []string{"[Topic]"}) {
			t.Errorf("%s tells %v", name, p["AlarmActions"])
		}
		watched = append(watched, p["Namespace"].(string)+" "+p["MetricName"].(string)+" "+at(p["Dimensions"].([]any)[0], "Value").(string))
	}
	slices.Sort(watched)
	if want := []string{"AWS/Lambda Errors [CopyFunction]", "AWS/Lambda Throttles [CopyFunction]", "AWS/States ExecutionsAborted [StateMachine]",
		"AWS/States ExecutionsFailed [StateMachine]", "AWS/States ExecutionsTimedOut [StateMachine]"}; !slices.Equal(watched, want) {
		t.Errorf("alarms for %v, want %v", watched, want)
	}
	subscription := s.resources["AlarmSubscription"].(object)["Properties"].(object)
	if subscription["TopicArn"] != "[Topic]" || subscription["Endpoint"] != "me@example.com" || subscription["Protocol"] != "email" {
		t.Errorf("the subscription is %v", subscription)
	}
}

// roleOf gives the role of a function.
func (s *stack) roleOf(function string) string {
	role := at(s.resources[function], "Properties", "Role").(string)
	return strings.TrimSuffix(strings.TrimPrefix(role, "["), ".Arn]")
}

// own gives the statements that a role or a policy has itself.
func (s *stack) own(name string) []any {
	properties := s.resources[name].(object)["Properties"].(object)
	if document, ok := properties["PolicyDocument"]; ok {
		return at(document, "Statement").([]any)
	}
	var all []any
	if policies, ok := properties["Policies"].([]any); ok {
		for _, p := range policies {
			all = append(all, at(p, "PolicyDocument", "Statement").([]any)...)
		}
	}
	return all
}

// allowed gives what a role may do, as "action resource", in order and each once.
func allowed(s *stack, role string) []string {
	s.t.Helper()
	statements := s.own(role)
	if policies, ok := at(s.resources[role], "Properties", "ManagedPolicyArns").([]any); ok {
		for _, policy := range texts(policies) {
			name := strings.Trim(policy, "[]")
			if s.resources[name] == nil {
				s.t.Errorf("%s has %s, which says nothing of what it allows", role, policy)
				continue
			}
			statements = append(statements, s.own(name)...)
		}
	}
	var all []string
	for _, statement := range statements {
		if at(statement, "Effect") != "Allow" {
			continue
		}
		for _, action := range texts(at(statement, "Action")) {
			for _, resource := range texts(at(statement, "Resource")) {
				all = append(all, action+" "+resource)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

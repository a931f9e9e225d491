package aws

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketload/bucketload/internal/steps"
)

const (
	database   = "arn:aws:rds:eu-west-1:123456789012:db:main"
	secret     = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main-AbCdEf"
	definition = "../../internal/conduct/machine.asl.json"
)

// private are the parameters that a stack in a VPC needs at least.
var private = map[string]string{"RDSDatabaseArn": database, "VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1,sg-2"}

// with gives private with more parameters.
func with(more map[string]string) map[string]string {
	all := maps.Clone(private)
	maps.Copy(all, more)
	return all
}

// everything says everything that can be said.
var everything = with(map[string]string{
	"SecretArn": secret, "SecretKey": "dsn", "RDSResourceId": "db-ABC123", "RDSIAMUser": "loader", "RDSDatabaseArn": strings.Replace(database, ":db:", ":cluster:", 1),
	"VpcId": "vpc-1", "VpcEndpoints": "all", "VpcRouteTableIds": "rtb-1,rtb-2", "ConfigUri": "s3://settings/loads/bucketload.yaml",
	"OtherBucketArns": "arn:aws:s3:::one,arn:aws:s3:::two", "ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleTable": "year_2021",
	"CopyReservedConcurrency": "10", "DeleteLoaded": "true", "Architecture": "x86_64", "AlarmEmail": "me@example.com",
})

var outside = map[string]string{"RDSDatabaseArn": database, "OutsideVpc": "true"}

// TestResolves: every Ref, GetAtt and Sub of every variant is of something that
// exists in it, and every condition is tried both ways.
func TestResolves(t *testing.T) {
	source := template(t)
	seen := map[string]map[bool]bool{}
	endpoints := with(map[string]string{"VpcId": "vpc-1", "VpcEndpoints": "needed", "VpcRouteTableIds": "rtb-1"})
	for _, parameters := range []map[string]string{private, everything, outside, endpoints} {
		for name, value := range deploy(t, source, parameters).conditions {
			if seen[name] == nil {
				seen[name] = map[bool]bool{}
			}
			seen[name][value] = true
		}
	}
	for name, values := range seen {
		if len(values) != 2 {
			t.Errorf("condition %s has one value in all variants: %v", name, values)
		}
	}
}

// TestRules: what is refused before anything is made.
func TestRules(t *testing.T) {
	source := template(t)
	tests := []struct {
		name       string
		parameters map[string]string
		broken     string
	}{
		{"private", private, ""},
		{"everything", everything, ""},
		{"outside of a VPC, as said", outside, ""},
		{"nothing said of the network", map[string]string{"RDSDatabaseArn": database}, "PrivateUnlessSaid"},
		{"no security group", map[string]string{"RDSDatabaseArn": database, "VpcSubnetIds": "subnet-1"}, "PrivateUnlessSaid"},
		{"inside and outside", with(map[string]string{"OutsideVpc": "true"}), "EitherInOrOutside"},
		{"endpoints without a VPC", with(map[string]string{"VpcEndpoints": "needed", "VpcRouteTableIds": "rtb-1"}), "EndpointsNeedTheVpc"},
		{"endpoints without route tables", with(map[string]string{"VpcEndpoints": "needed", "VpcId": "vpc-1"}), "EndpointsNeedTheVpc"},
		{"a schedule of nothing", with(map[string]string{"ScheduleExpression": "rate(1 day)"}), "ScheduleNeedsATable"},
		{"IAM without a user", with(map[string]string{"RDSResourceId": "db-ABC123"}), "IAMNeedsBoth"},
		{"a user without IAM", with(map[string]string{"RDSIAMUser": "loader"}), "IAMNeedsBoth"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStack(t, source, test.parameters)
			broken := ""
			for name, rule := range source["Rules"].(object) {
				applies := at(rule, "RuleCondition")
				if applies != nil && !s.resolve(applies).(bool) {
					continue
				}
				for _, assertion := range at(rule, "Assertions").([]any) {
					if at(assertion, "AssertDescription") == nil {
						t.Errorf("rule %s does not say what it asks for", name)
					}
					if !s.resolve(at(assertion, "Assert")).(bool) {
						broken += name
					}
				}
			}
			if broken != test.broken {
				t.Errorf("breaks %q, want %q", broken, test.broken)
			}
		})
	}
}

// TestContract: what people and their scripts rely on, as the original system had it and beyond.
func TestContract(t *testing.T) {
	source := template(t)
	for _, name := range []string{"DbConnectionStringSSMPath", "RDSDatabaseArn", "SecretArn", "RDSResourceId", "RDSIAMUser", "VpcSubnetIds", "VpcSecurityGroupIds",
		"ConfigUri", "ScheduleExpression", "ScheduleTable", "AlarmEmail", "LogRetentionDays", "MaxConcurrency", "Architecture"} {
		if at(source, "Parameters", name, "Description") == nil {
			t.Errorf("parameter %s is missing, or does not say what it is", name)
		}
	}
	shown := at(source, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").([]any)
	grouped := []string{}
	for _, group := range shown {
		grouped = append(grouped, texts(at(group, "Parameters"))...)
	}
	slices.Sort(grouped)
	if all := slices.Sorted(maps.Keys(source["Parameters"].(object))); !slices.Equal(grouped, all) {
		t.Errorf("parameters in groups: %v\nparameters:           %v", grouped, all)
	}
	s := deploy(t, source, private)
	for name, want := range map[string]string{
		"S3SourceBucket": "[SourceBucket]", "RDSRole": "[RDSRole.Arn]", "SNSTopic": "[Topic]", "StateMachineArn": "[StateMachine]",
		"AttachRDSRole": "aws rds add-role-to-db-instance --db-instance-identifier main --feature-name s3Import --role-arn [RDSRole.Arn]",
	} {
		if got := at(s.outputs, name, "Value"); got != want {
			t.Errorf("output %s is %v, want %s", name, got, want)
		}
	}
	want := "aws rds add-role-to-db-cluster --db-cluster-identifier main --feature-name s3Import --role-arn [RDSRole.Arn]"
	if got := at(deploy(t, source, everything).outputs, "AttachRDSRole", "Value"); got != want {
		t.Errorf("output AttachRDSRole of a cluster is %v", got)
	}
	// A leading slash would be doubled.
	pattern := regexp.MustCompile("^(?:" + at(source, "Parameters", "DbConnectionStringSSMPath", "AllowedPattern").(string) + ")$")
	if pattern.MatchString("/a/b") || !pattern.MatchString("a/b") {
		t.Error("DbConnectionStringSSMPath is given without its leading slash")
	}
}

// state is a Task of the machine, by the name that it has there.
type state struct {
	Type           string
	Resource       string
	Label          string
	TimeoutSeconds int
	Parameters     struct {
		FunctionName string
		Payload      map[string]any
	}
	ItemSelector  map[string]any
	ItemProcessor *struct {
		ProcessorConfig struct{ Mode, ExecutionType string }
		States          map[string]state
	}
}

// walk calls visit for every state, and the Map that it is in, if any.
func walk(states map[string]state, in *state, visit func(name string, s, in *state)) {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		s := states[name]
		visit(name, &s, in)
		if s.ItemProcessor != nil {
			walk(s.ItemProcessor.States, &s, visit)
		}
	}
}

func machine(t *testing.T) (text string, states map[string]state) {
	t.Helper()
	data, err := os.ReadFile(definition)
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ States map[string]state }
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return string(data), m.States
}

// TestMachine: the definition is the one that runs here, and all that it names exists.
func TestMachine(t *testing.T) {
	s := deploy(t, template(t), private)
	m := s.resources["StateMachine"].(object)["Properties"].(object)
	if m["DefinitionUri"] != definition || m["Type"] != "STANDARD" {
		t.Errorf("definition %v, type %v", m["DefinitionUri"], m["Type"])
	}
	if at(m, "Tracing", "Enabled") != true || at(m, "Logging", "Level") != "ALL" || at(m, "Logging", "IncludeExecutionData") != false {
		t.Errorf("tracing %v, logging %v", m["Tracing"], m["Logging"])
	}
	text, states := machine(t)
	used := map[string]bool{}
	for _, match := range variable.FindAllStringSubmatch(text, -1) {
		used[match[1]] = true
	}
	substitutions := m["DefinitionSubstitutions"].(object)
	if want, got := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(substitutions)); !slices.Equal(got, want) {
		t.Errorf("the machine has the substitutions %v, the template defines %v", want, got)
	}
	tasks := map[string]bool{}
	walk(states, nil, func(name string, task, in *state) {
		if task.Type != "Task" {
			return
		}
		switch task.Resource {
		case "arn:aws:states:::sns:publish":
			return
		case "arn:aws:states:::lambda:invoke":
		default:
			t.Fatalf("state %s calls %s: give the machine's role the right, and this test the knowledge", name, task.Resource)
		}
		function := strings.Trim(task.Parameters.FunctionName, "${}")
		tasks[function] = true
		if substitutions[function] != "["+function+".Arn]" {
			t.Errorf("state %s calls %s, which is %v", name, function, substitutions[function])
			return
		}
		timeout := number(t, at(s.resources[function], "Properties", "Timeout"))
		if timeout > 900 || timeout >= task.TimeoutSeconds {
			t.Errorf("function %s may take %d s, state %s %d s", function, timeout, name, task.TimeoutSeconds)
		}
		if in != nil && in.ItemProcessor.ProcessorConfig.ExecutionType == "EXPRESS" && task.TimeoutSeconds >= int((5*time.Minute).Seconds()) {
			t.Errorf("state %s may take %d s, an EXPRESS child five minutes", name, task.TimeoutSeconds)
		}
	})
	if functions := s.ofType("AWS::Serverless::Function"); !slices.Equal(functions, slices.Sorted(maps.Keys(tasks))) {
		t.Errorf("the machine calls %v, the template has %v", slices.Sorted(maps.Keys(tasks)), functions)
	}
}

// TestFunctions: each is the one binary, told by its Handler which step it is.
func TestFunctions(t *testing.T) {
	known := new(steps.Steps).Functions(steps.Setting{})
	for name, parameters := range map[string]map[string]string{"private": private, "everything": everything, "outside": outside} {
		t.Run(name, func(t *testing.T) {
			s := deploy(t, template(t), parameters)
			handlers := []string{}
			for _, name := range s.ofType("AWS::Serverless::Function") {
				f := s.resources[name].(object)["Properties"].(object)
				handler := f["Handler"].(string)
				handlers = append(handlers, handler)
				if known[handler] == nil || name != handler+"Function" {
					t.Errorf("%s has the handler %s", name, handler)
				}
				if f["Runtime"] != "provided.al2023" || f["CodeUri"] != "." || at(s.resources[name], "Metadata", "BuildMethod") != "makefile" {
					t.Errorf("%s is not the binary that the Makefile builds: %v", name, f)
				}
				if !slices.Equal(texts(f["Architectures"]), []string{s.parameters["Architecture"]}) {
					t.Errorf("%s is for %v", name, f["Architectures"])
				}
				if (f["VpcConfig"] == nil) != (s.parameters["OutsideVpc"] == "true") {
					t.Errorf("%s is in VPC %v", name, f["VpcConfig"])
				}
				if f["MemorySize"] == nil || at(f, "LoggingConfig", "LogGroup") != "[FunctionLogs]" {
					t.Errorf("%s: memory %v, logs %v", name, f["MemorySize"], f["LoggingConfig"])
				}
			}
			slices.Sort(handlers)
			if want := slices.Sorted(maps.Keys(known)); !slices.Equal(handlers, want) {
				t.Errorf("handlers %v, steps %v", handlers, want)
			}
		})
	}
}

// TestEnvironment: where the binary finds database, configuration and buckets.
func TestEnvironment(t *testing.T) {
	tests := []struct {
		name string
		more map[string]string
		want map[string]any
	}{
		{"as it comes", nil, map[string]any{"BUCKETLOAD_TO": "ssm:/bucketload/connection", "BUCKETLOAD_CONFIG": "", "BUCKETLOAD_SOURCE": "s3://[SourceBucket]",
			"BUCKETLOAD_RESULTS": "[LogsBucket]", "BUCKETLOAD_MAX_CONCURRENCY": "25"}},
		{"the original's parameter", map[string]string{"DbConnectionStringSSMPath": "dataLoad/dbConnectionString"}, map[string]any{"BUCKETLOAD_TO": "ssm:/dataLoad/dbConnectionString"}},
		{"a secret", map[string]string{"SecretArn": secret}, map[string]any{"BUCKETLOAD_TO": "secretsmanager:" + secret}},
		{"a secret that RDS manages", map[string]string{"SecretArn": secret, "DatabaseHost": "main.abc.eu-west-1.rds.amazonaws.com", "DatabaseName": "weather"},
			map[string]any{"PGHOST": "main.abc.eu-west-1.rds.amazonaws.com", "PGDATABASE": "weather"}},
		{"a key of a secret", map[string]string{"SecretArn": secret, "SecretKey": "dsn"}, map[string]any{"BUCKETLOAD_TO": "secretsmanager:" + secret + "#dsn"}},
		{"a configuration", map[string]string{"ConfigUri": "s3://b/bucketload.yaml", "MaxConcurrency": "4"},
			map[string]any{"BUCKETLOAD_CONFIG": "s3://b/bucketload.yaml", "BUCKETLOAD_MAX_CONCURRENCY": "4"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := deploy(t, template(t), with(test.more))
			env := at(s.resources["PlanFunction"], "Properties", "Environment", "Variables").(object)
			for name, want := range test.want {
				if env[name] != want {
					t.Errorf("%s is %v, want %v", name, env[name], want)
				}
			}
		})
	}
}

// TestMakefile: sam build calls make build-<logical id> for each function.
func TestMakefile(t *testing.T) {
	for _, arch := range []string{"arm64", "amd64"} {
		for _, name := range deploy(t, template(t), private).ofType("AWS::Serverless::Function") {
			cmd := exec.Command("make", "--dry-run", "build-"+name)
			cmd.Env = append(os.Environ(), "GOARCH="+arch, "ARTIFACTS_DIR=/artifacts/"+name)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("make build-%s: %v\n%s", name, err, out)
			}
			for _, want := range []string{"GOOS=linux GOARCH=" + arch + " CGO_ENABLED=0", "-buildvcs=false -trimpath -tags lambda.norpc", "/artifacts/" + name + "/bootstrap"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("make build-%s for %s has no %q:\n%s", name, arch, want, out)
				}
			}
		}
	}
}

// TestEvents: the sample events are what the machine sends its functions.
func TestEvents(t *testing.T) {
	_, states := machine(t)
	sent := map[string][]string{} // by function: the keys of each event
	walk(states, nil, func(_ string, task, in *state) {
		payload := task.Parameters.Payload
		if task.Type != "Task" || task.Parameters.FunctionName == "" {
			return
		}
		if payload == nil { // "Payload.$": "$", the Map's item
			payload = in.ItemSelector
		}
		function := strings.TrimSuffix(strings.Trim(task.Parameters.FunctionName, "${}"), "Function")
		sent[function] = append(sent[function], keys(payload))
	})
	of := maps.Clone(sent)
	files, err := filepath.Glob("events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(data, &event); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		name, form, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), ".")
		want := of[name]
		if form == "original" {
			want = map[string][]string{"Prepare": {"table"}, "Copy": {"BatchInput Items"}, "Swap": {"table"}, "Cleanup": {"error table"}}[name]
		}
		if !slices.Contains(want, keys(event)) {
			t.Errorf("%s has the keys %s, %s gets one of %q", file, keys(event), name, want)
		}
		if form == "" {
			delete(sent, name)
		}
	}
	for name := range sent {
		t.Errorf("there is no sample event for %s", name)
	}
}

func keys(m map[string]any) string {
	var names []string
	for name := range m {
		names = append(names, strings.TrimSuffix(name, ".$"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestEnded: an execution that Step Functions ended itself is cleaned up after.
func TestEnded(t *testing.T) {
	s := deploy(t, template(t), private)
	rule := s.resources["EndedRule"].(object)["Properties"].(object)
	pattern, err := json.Marshal(rule["EventPattern"])
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"detail":{"stateMachineArn":["[StateMachine]"],"status":["FAILED","ABORTED","TIMED_OUT"]},"detail-type":["Step Functions Execution Status Change"],"source":["aws.states"]}`; string(pattern) != want {
		t.Errorf("pattern %s\nwant    %s", pattern, want)
	}
	target := rule["Targets"].([]any)[0].(object)
	if target["Arn"] != "[CleanupFunction.Arn]" {
		t.Errorf("the target is %v", target["Arn"])
	}
	paths := at(target, "InputTransformer", "InputPathsMap").(object)
	text := at(target, "InputTransformer", "InputTemplate").(string)
	// EventBridge puts a string with its quotes where it stands alone, without them inside of a string.
	for path, value := range map[string]string{"$.detail.executionArn": "arn:aws:states:eu-west-1:123456789012:execution:loads:one", "$.detail.status": "ABORTED"} {
		for name, of := range paths {
			if of == path {
				text = strings.ReplaceAll(text, ": <"+name+">,", `: "`+value+`",`)
				text = strings.ReplaceAll(text, "<"+name+">", value)
			}
		}
	}
	var event struct {
		Execution string
		GiveUp    bool `json:"give_up"`
		Input     struct{ Error struct{ Error, Cause string } }
	}
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if !strings.HasSuffix(event.Execution, ":one") || !event.GiveUp || event.Input.Error.Error != "ABORTED" || !strings.Contains(event.Input.Error.Cause, "ABORTED") {
		t.Errorf("the event is %+v", event)
	}
	permission := s.resources["EndedRuleInvokes"].(object)["Properties"].(object)
	if permission["FunctionName"] != "[CleanupFunction]" || permission["SourceArn"] != "[EndedRule.Arn]" || permission["Principal"] != "events.amazonaws.com" {
		t.Errorf("the permission is %v", permission)
	}
}

// TestOptions: what is there when it is asked for, and not otherwise.
func TestOptions(t *testing.T) {
	source := template(t)
	tests := []struct {
		name  string
		more  map[string]string
		there []string
	}{
		{"as it comes", nil, nil},
		{"endpoints", map[string]string{"VpcEndpoints": "needed", "VpcId": "vpc-1", "VpcRouteTableIds": "rtb-1"},
			[]string{"EndpointSecurityGroup", "S3Endpoint", "SSMEndpoint", "StatesEndpoint"}},
		{"endpoints for a secret", map[string]string{"VpcEndpoints": "needed", "VpcId": "vpc-1", "VpcRouteTableIds": "rtb-1", "SecretArn": secret},
			[]string{"EndpointSecurityGroup", "S3Endpoint", "SecretsManagerEndpoint", "StatesEndpoint"}},
		{"all endpoints", map[string]string{"VpcEndpoints": "all", "VpcId": "vpc-1", "VpcRouteTableIds": "rtb-1"},
			[]string{"EndpointSecurityGroup", "KMSEndpoint", "LogsEndpoint", "S3Endpoint", "SNSEndpoint", "SSMEndpoint", "StatesEndpoint"}},
		{"a schedule", map[string]string{"ScheduleExpression": "rate(1 day)", "ScheduleTable": "year_2021"}, []string{"Schedule", "ScheduleRole"}},
		{"mail", map[string]string{"AlarmEmail": "me@example.com"}, []string{"AlarmSubscription"}},
		{"a configuration", map[string]string{"ConfigUri": "s3://b/bucketload.yaml"}, []string{"ConfigPolicy"}},
	}
	always := deploy(t, source, private).resources
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := deploy(t, source, with(test.more))
			var more []string
			for name := range s.resources {
				if always[name] == nil {
					more = append(more, name)
				}
			}
			slices.Sort(more)
			if !slices.Equal(more, test.there) || len(s.resources) != len(always)+len(more) {
				t.Errorf("there are %v besides, want %v", more, test.there)
			}
		})
	}
	s := deploy(t, source, everything)
	var input map[string]string
	if err := json.Unmarshal([]byte(at(s.resources["Schedule"], "Properties", "Target", "Input").(string)), &input); err != nil || input["table"] != "year_2021" || len(input) != 1 {
		t.Errorf("the schedule's input is %v: %v", input, err)
	}
	if got := at(s.resources["CopyFunction"], "Properties", "ReservedConcurrentExecutions"); got != "10" {
		t.Errorf("reserved concurrency %v", got)
	}
	if got := always["CopyFunction"].(object)["Properties"].(object)["ReservedConcurrentExecutions"]; got != nil {
		t.Errorf("reserved concurrency %v without being asked for", got)
	}
}

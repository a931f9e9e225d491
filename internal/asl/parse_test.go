package asl_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/asl"
)

// in puts fields of a state into a machine of that one state, S.
func in(fields string) string {
	return `{"StartAt": "S", "States": {"S": {` + fields + `}}}`
}

func TestProblems(t *testing.T) {
	const task = `"Type": "Task", "End": true, "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"`
	const invoke = `"Type": "Task", "End": true, "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}`
	const processor = `"ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}`
	const distributed = `"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}`
	for _, c := range []struct {
		name, definition string
		want             []string // problems, each with | and its hint where that matters
	}{
		{"no JSON", `{"StartAt": "S",` + "\n" + `"States" {}}`, []string{"the definition is not JSON: line 2, column 10: "}},
		{"no object", `[]`, []string{"the definition must be an object, not a list"}},
		{"nothing", `{}`, []string{"StartAt: is missing", "States: is missing or empty"}},
		{"no states", `{"StartAt": "S", "States": {}}`, []string{"States: is missing or empty"}},
		{"all at once, in the order of the text", `{"StartAt": "B", "Nmae": 1, "States": {
			"B": {"Type": "Pass", "Nxt": "C", "Next": "C", "Rsult": 1},
			"A": {"Type": "Wait", "Seconds": -1, "End": true}}}`,
			[]string{
				`state "B": Nxt: there is no such field in a Pass state|did you mean Next?`,
				`state "B": Rsult: there is no such field in a Pass state|did you mean Result?`,
				`state "A": Seconds: must be between 0 and 99999999, not -1`,
				`Nmae: there is no such field in a state machine`,
				`state "B": Next: there is no state "C"|the states here are B, A`,
				`state "A": cannot be reached`,
			}},
		{"a field of another type of state", in(`"Type": "Pass", "End": true, "Retry": []`), []string{`state "S": Retry: there is no such field in a Pass state|a Pass state may have Comment, End, InputPath`}},
		{"dangling", `{"StartAt": "Frist", "States": {"First": {"Type": "Pass", "Next": "Secnd"}, "Second": {"Type": "Succeed"}}}`, []string{
			`StartAt: there is no state "Frist"|did you mean First?`,
			`state "First": cannot be reached`, `state "First": Next: there is no state "Secnd"|did you mean Second?`,
			`state "Second": cannot be reached`}},
		{"dangling in Choice and Catch", `{"StartAt": "C", "States": {
			"C": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "Next": "X"}], "Default": "T"},
			"T": {` + task + `, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Y"}]}}}`,
			[]string{`state "C": Choices[0].Next: there is no state "X"`, `state "T": Catch[0].Next: there is no state "Y"`}},
		{"out of a branch", `{"StartAt": "P", "States": {"Q": {"Type": "Succeed"}, "P": {"Type": "Parallel", "Next": "Q", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Next": "Q"}}}]}}}`,
			[]string{`state "B": Next: there is no state "Q"|a state of that name is elsewhere; transitions do not lead into or out of a Map or Parallel state`}},
		{"names twice", `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "P", "States": {"P": {"Type": "Succeed"}}}]}}}`,
			[]string{`state "P": another state has this name too`}},
		{"no end", `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Next": "Q", "Branches": [{"StartAt": "A", "States": {
			"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "A"}]}}}]}, "Q": {"Type": "Succeed"}}}`, []string{
			`state "P": Branches[0].States: none of them ends the state machine|give one of them "End": true, or add a Succeed or a Fail state`}},
		{"keys twice", `{"StartAt": "P", "States": {"P": {"Type": "Succeed"}, "P": {"Type": "Succeed"}}}`, []string{`States.P: is there twice`}},
		{"no type", in(`"End": true`), []string{`state "S": Type: is missing|the types are Task, Pass`}},
		{"wrong type", in(`"Type": "task", "End": true`), []string{`state "S": Type: there is no type of state "task"|did you mean Task?`}},
		{"no object for a state", `{"StartAt": "S", "States": {"S": 1}}`, []string{`States.S: must be an object, not a number`}},
		{"neither Next nor End", in(`"Type": "Pass"`), []string{`state "S": has neither Next nor End`}},
		{"both", in(`"Type": "Pass", "Next": "S", "End": true`), []string{`state "S": has both Next and End`}},
		{"End is text", in(`"Type": "Pass", "End": "true"`), []string{`state "S": End: must be true or false, not "true"`}},
		{"bad paths", in(`"Type": "Pass", "InputPath": "a.b", "OutputPath": 1, "ResultPath": "$.a[*]", "End": true`), []string{
			`state "S": InputPath: `, `state "S": OutputPath: must be a path or null, not 1`, `state "S": ResultPath: `}},
		{"ResultPath to the context object", in(`"Type": "Pass", "ResultPath": "$$.a", "End": true`), []string{`state "S": ResultPath: `}},
		{"bad intrinsics", in(`"Type": "Pass", "Parameters": {"a.$": "States.Formt('x')", "b": {"c.$": "plain"}}, "End": true`), []string{`state "S": Parameters: `}},
		{"JSONata", `{"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": {"Type": "Pass", "Output": "{% 1 %}", "Assign": {"a": 1}, "End": true}}}`, []string{
			`state "S": Output: belongs to JSONata, which is not supported`, `state "S": Assign: variables are not supported`, `QueryLanguage: JSONata is not supported`}},
		{"JSONata in a state", in(`"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "f"}, "End": true`), []string{
			`state "S": Parameters: must be an object for lambda:invoke`, `state "S": QueryLanguage: JSONata is not supported`, `state "S": Arguments: belongs to JSONata`}},
		{"resources", `{"StartAt": "A", "States": {
			"A": {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:putItem", "Next": "B"},
			"B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Next": "C"},
			"C": {"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:a", "Next": "D"},
			"D": {"Type": "Task", "Next": "E"},
			"E": {"Type": "Task", "Resource": "${Function}", "Next": "F"},
			"F": {"Type": "Task", "Resource": "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live", "Next": "G"},
			"G": {"Type": "Task", "Resource": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${Stack}-load:$LATEST", "Next": "H"},
			"H": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:$f", "End": true}}}`, []string{
			`state "A": Resource: dynamodb:putItem is not supported|supported are arn:aws:states:::lambda:invoke`,
			`state "B": Resource: lambda:invoke.waitForTaskToken is not supported`,
			`state "C": Resource: "arn:aws:states:us-east-1:123456789012:activity:a" is not supported`,
			`state "D": Resource: is missing`, `state "H": Resource: "arn:aws:lambda:us-east-1:123456789012:function:$f" is not supported`}},
		{"parameters of lambda:invoke", in(`"Type": "Task", "End": true, "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"Funktion": "f", "InvocationType": "Event"}`), []string{
			`state "S": Parameters.FunctionName: is missing for lambda:invoke`, `state "S": Parameters.Funktion: is not supported for lambda:invoke`, `state "S": Parameters.InvocationType: must be RequestResponse, not "Event"`}},
		{"parameters of sns:publish", in(`"Type": "Task", "End": true, "Resource": "arn:aws:states:::sns:publish", "Parameters": {"TopicArn": "${Topic}"}`), []string{`state "S": Parameters.Message: is missing for sns:publish`}},
		{"timeouts", `{"StartAt": "A", "TimeoutSeconds": "1", "States": {
			"A": {` + strings.Replace(task, `"End": true`, `"Next": "B"`, 1) + `, "TimeoutSeconds": 0},
			"B": {` + strings.Replace(task, `"End": true`, `"Next": "C"`, 1) + `, "TimeoutSeconds": 1.5, "TimeoutSecondsPath": "$.t"},
			"C": {` + task + `, "TimeoutSeconds": 10, "HeartbeatSeconds": 10}}}`, []string{
			`TimeoutSeconds: must be a number, not "1"`,
			`state "A": TimeoutSeconds: must be between 1 and 99999999, not 0`,
			`state "B": TimeoutSeconds: cannot be together with TimeoutSecondsPath`, `state "B": TimeoutSeconds: must be a whole number, not 1.5`,
			`state "C": HeartbeatSeconds: must be less than TimeoutSeconds`}},
		{"retries", in(invoke + `, "Retry": [
			{"ErrorEquals": ["States.ALL", "E"], "IntervalSeconds": 0, "MaxAttempts": -1, "BackoffRate": 0.5, "JitterStrategy": "SOME"},
			{"ErrorEquals": [], "Next": "S"}, {"ErrorEquals": ["States.Timedout"], "MaxDelaySeconds": 1}]`), []string{
			`state "S": Retry[0].ErrorEquals: States.ALL must stand alone`,
			`state "S": Retry[0].IntervalSeconds: must be between 1 and 99999999, not 0`,
			`state "S": Retry[0].MaxAttempts: must be between 0 and 99999999, not -1`,
			`state "S": Retry[0].BackoffRate: must be between 1 and `,
			`state "S": Retry[0].JitterStrategy: must be FULL or NONE, not "SOME"`,
			`state "S": Retry[1].ErrorEquals: must be a list with at least one string and nothing else`,
			`state "S": Retry[1].Next: there is no such field in a retrier`,
			`state "S": Retry[2].ErrorEquals: there is no error "States.Timedout"|did you mean States.Timeout?`,
			`state "S": Retry[2].MaxDelaySeconds: must be greater than IntervalSeconds`}},
		{"catchers", in(invoke + `, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "S"}, {"ErrorEquals": ["E"], "ResultPath": "$.a"}]`), []string{
			`state "S": Catch[0].ErrorEquals: States.ALL must come last`, `state "S": Catch[1].Next: is missing`}},
		{"waits", in(`"Type": "Wait", "End": true, "Seconds": 1, "Timestamp": "2030-01-01"`), []string{
			`state "S": Timestamp: "2030-01-01" is no timestamp`, `state "S": needs exactly one of Seconds`}},
		{"paths of numbers and times", `{"StartAt": "A", "States": {
			"A": {"Type": "Wait", "SecondsPath": "$..seconds", "Next": "B"},
			"B": {"Type": "Wait", "TimestampPath": "$.times[*]", "Next": "C"},
			"C": {` + task + `, "TimeoutSecondsPath": "$$.Execution.Input.limits[0:1]"}}}`, []string{
			`state "A": SecondsPath: a reference path points at one value only`, `state "B": TimestampPath: a reference path points at one value only`,
			`state "C": TimeoutSecondsPath: a reference path points at one value only`}},
		{"fails", in(`"Type": "Fail", "Error": "E", "ErrorPath": "$.e", "CausePath": "e", "Next": "S"`), []string{
			`state "S": CausePath: `, `state "S": Error: cannot be together with ErrorPath`, `state "S": Next: there is no such field in a Fail state`}},
		{"choice rules", in(`"Type": "Choice", "Choices": [
			{"Variable": "$.a", "StringEquals": 1, "Next": "S"}, {"Variable": "$.a", "NumericEqual": 1, "Next": "S"},
			{"StringEquals": "a", "Next": "S"}, {"And": [{"Variable": "$.a", "IsNull": true, "Next": "S"}]},
			{"Variable": "$.a", "IsNull": true, "IsString": true, "Next": "S"}, {"Not": {"Variable": "$.a", "TimestampEquals": "yesterday"}, "Next": "S"},
			{"Variable": "a", "NumericEqualsPath": "b", "Next": "S"}], "End": true`), []string{
			`state "S": Choices[0].StringEquals: must be a string, not 1|to compare with a value of the input, use StringEqualsPath`,
			`state "S": Choices[1]: needs exactly one comparison, And, Or or Not, and has 0|did you mean NumericEquals?`,
			`state "S": Choices[2].Variable: is missing`,
			`state "S": Choices[3].And[0].Next: there is no such field in a nested choice rule`, `state "S": Choices[3].Next: is missing`,
			`state "S": Choices[4]: needs exactly one comparison, And, Or or Not, and has 2`,
			`state "S": Choices[5].Not.TimestampEquals: must be a timestamp, not "yesterday"`,
			`state "S": Choices[6].Variable: `, `state "S": Choices[6].NumericEqualsPath: `,
			`state "S": End: there is no such field in a Choice state`}},
		{"no choices", in(`"Type": "Choice", "Choices": []`), []string{`state "S": Choices: is an empty list`}},
		{"no branches", in(`"Type": "Parallel", "End": true`), []string{`state "S": Branches: must be a list with at least one object, not null`}},
		{"no processor", in(`"Type": "Map", "End": true`), []string{`state "S": ItemProcessor: is missing`}},
		{"both processors", in(`"Type": "Map", "End": true, "Iterator": {}, ` + processor + `, "Parameters": {}, "ItemSelector": {}`), []string{
			`state "S": Iterator: cannot be together with ItemProcessor`, `state "S": Iterator.StartAt: is missing`, `state "S": Iterator.States: is missing or empty`,
			`state "S": Parameters: cannot be together with ItemSelector`}},
		{"an inline Map with fields of a distributed one", in(`"Type": "Map", "End": true, "Label": "L", "ToleratedFailureCount": 1, ` + processor), []string{
			`state "S": Label: is for distributed Maps only`, `state "S": ToleratedFailureCount: is for distributed Maps only`}},
		{"no execution type", in(`"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}`), []string{
			`state "S": ItemProcessor.ProcessorConfig.ExecutionType: is missing`}},
		{"a distributed Map", in(distributed + `, "MaxConcurrency": -1, "ToleratedFailurePercentage": 101, "ToleratedFailureCount": 1.5, "Label": "a b",
			"ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "XML"}, "Parameters": {"Bucket": "b"}},
			"ItemBatcher": {}, "ResultWriter": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Prefix": "p"}}`), []string{
			`state "S": MaxConcurrency: must be between 0 and 99999999, not -1`,
			`state "S": ToleratedFailureCount: must be a whole number, not 1.5`,
			`state "S": ToleratedFailurePercentage: must be between 0 and 100, not 101`,
			`state "S": Label: must not contain " "`,
			`state "S": ItemReader.Parameters.Key: is missing`,
			`state "S": ItemReader.ReaderConfig.InputType: "XML" is not supported`,
			`state "S": ItemBatcher: needs MaxItemsPerBatch or MaxInputBytesPerBatch`,
			`state "S": ResultWriter.Resource: "s3:getObject" is not supported`,
			`state "S": ResultWriter.Parameters.Bucket: is missing`}},
		{"results", in(distributed + `, "ResultWriter": {}`), []string{
			`state "S": ResultWriter.Resource: "" is not supported`, `state "S": ResultWriter.Parameters: must be an object|give Bucket`}},
		{"results as lines in the state's result", in(distributed + `, "ResultWriter": {"WriterConfig": {"OutputType": "JSONL"}}`), []string{
			`state "S": ResultWriter.WriterConfig.OutputType: JSONL is not supported without Resource and Parameters`}},
		{"empty texts", `{"StartAt": "C", "States": {
			"C": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "W"}], "Default": ""},
			"W": {"Type": "Wait", "Timestamp": "", "Next": "M"},
			"M": {` + distributed + `, "Label": ""}}}`, []string{
			`state "C": Default: is empty`, `state "W": Timestamp: is empty`, `state "M": Label: is empty`}},
		{"readers of more than the items", `{"StartAt": "A", "States": {
			"A": {` + strings.Replace(distributed, `"End": true`, `"Next": "B"`, 1) + `, "ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2", "ReaderConfig": {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}, "Parameters": {"Bucket": "b"}}},
			"B": {` + strings.ReplaceAll(distributed, `"I"`, `"J"`) + `, "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"ManifestType": "S3_INVENTORY"}, "Parameters": {"Bucket": "b", "Key": "k"}}}}}`, []string{
			`state "A": ItemReader.ReaderConfig.Transformation: LOAD_AND_FLATTEN is not supported|let another Map read each object`,
			`state "B": ItemReader.ReaderConfig.ManifestType: S3_INVENTORY, a manifest of Athena or S3 Inventory, is not supported`}},
		{"labels twice", `{"StartAt": "A", "States": {
			"A": {"Type": "Map", "Label": "L", "Next": "B", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}},
			"B": {"Type": "Map", "Label": "L", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "J", "States": {"J": {"Type": "Succeed"}}}}}}`,
			[]string{`state "B": Label: is that of state "A" too`}},
		{"a distributed Map in EXPRESS children", in(`"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "M", "States": {"M": {` + distributed + `}}}`),
			[]string{`state "S": its EXPRESS children cannot run the distributed Map "M"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := asl.Parse([]byte(c.definition))
			var got asl.Problems
			if !errors.As(err, &got) {
				t.Fatalf("%v, want problems", err)
			}
			for i, want := range c.want {
				message, hint, _ := strings.Cut(want, "|")
				if i >= len(got) || !strings.HasPrefix(got[i].String(), message) || !strings.HasPrefix(got[i].Hint, hint) {
					t.Errorf("want problem %d to be\n%s|%s", i, message, hint)
				}
			}
			if len(got) != len(c.want) || t.Failed() {
				for _, p := range got {
					t.Errorf("got %s|%s", p, p.Hint)
				}
			}
		})
	}
}

// A definition in the shape of the system that bucketload follows, and
// bucketload's own.
func TestValid(t *testing.T) {
	for _, file := range []string{"testdata/original.asl", "../conduct/machine.asl.json"} {
		definition, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := asl.Parse(definition); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/original.asl", "../conduct/machine.asl.json"} {
		definition, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(definition)
	}
	f.Add([]byte(`{"StartAt": "S", "States": {"S": {"Type": "Choice", "Choices": [{"Not": {"Variable": "$", "IsNull": true}, "Next": "S"}]}}}`))
	f.Fuzz(func(t *testing.T, definition []byte) {
		m, err := asl.Parse(definition)
		var problems asl.Problems
		if (m == nil) != (errors.As(err, &problems) && len(problems) > 0) {
			t.Fatal(m, err)
		}
		for _, p := range problems {
			if p.Message == "" {
				t.Error(fmt.Sprint(p))
			}
		}
	})
}

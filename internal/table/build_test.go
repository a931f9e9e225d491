package table

import "testing"

func TestForeignKeys(t *testing.T) {
	for _, key := range []string{
		"foreign key (a) references x", `FOREIGN KEY(a,"B c")REFERENCES s.x(a, b)`, `constraint k foreign key (a) references "a schema" . "x""y" (b) match full`,
		"FOREIGN KEY (a) REFERENCES x ON DELETE SET NULL (a) ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED", "\n\tForeign\nKey (a)\nReferences x\n(a) not deferrable ",
	} {
		if keys, others := foreignKeys([]string{key}); len(keys) != 1 || len(others) != 0 {
			t.Errorf("%q is none", key)
		}
	}
	for _, other := range []string{
		"check (a > 0)", "foreign key (a) references x not valid", "foreign key (a) references x not enforced", "foreign key (a) references x, add check (a > 0)",
		"foreign key (a) references x; drop table x", "foreign key (a) references x -- of x", `foreign key ("a)") references x`, "check ('foreign key (a) references x' <> b)",
	} {
		if keys, others := foreignKeys([]string{other}); len(keys) != 0 || len(others) != 1 {
			t.Errorf("%q is one", other)
		}
	}
}

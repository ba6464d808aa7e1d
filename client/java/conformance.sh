#!/bin/sh
# Goes through a plan of tests/conformance: conformance.sh PLAN. `mvn package` comes first.
exec java -XX:TieredStopAtLevel=1 -cp 'target/classes:target/test-classes:target/dependency/*' podium.ConformanceRunner "$1"

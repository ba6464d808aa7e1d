#!/bin/sh
# Answers the requests of tests/conformance. `mvn package` comes first.
exec java -XX:TieredStopAtLevel=1 -cp 'target/classes:target/test-classes:target/dependency/*' podium.ConformanceRunner

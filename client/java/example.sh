#!/bin/sh
# Runs the example. `mvn package` comes first.
exec java -cp 'target/classes:target/dependency/*' examples/Quickstart.java

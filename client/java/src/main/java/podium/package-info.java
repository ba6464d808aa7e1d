/**
 * Asks and records in Podium, the results service of machine-learning experiments.
 *
 * <p>{@link podium.Client} asks a server; {@link podium.ArmSnapshot} answers the same two questions
 * about an arm that is held already. Messages of the protocol are in {@code podium.v1}.
 */
package podium;

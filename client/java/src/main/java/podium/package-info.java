/**
 * A client of Podium, the results service of machine-learning experiments.
 *
 * <p>{@link podium.Client} reads from a server and records there. {@link podium.ArmSnapshot} is an
 * arm in memory, with the same methods. Messages of the protocol are in {@code podium.v1}.
 */
package podium;

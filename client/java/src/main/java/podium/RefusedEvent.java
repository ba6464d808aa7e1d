package podium;

/**
 * A rejected event of a Record call.
 *
 * @param index the index of the event in the call, from 0
 * @param reason the reason, such as {@code STALE_ATTEMPT}. Empty if this version does not know it
 * @param permanent whether the event will never be accepted. Otherwise it waits for something that
 *     does not exist yet
 * @param message the error text of the first event that was rejected for this reason
 */
public record RefusedEvent(int index, String reason, boolean permanent, String message) {}

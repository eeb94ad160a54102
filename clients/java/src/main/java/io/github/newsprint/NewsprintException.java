package io.github.newsprint;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.newsprint.v1.ErrorReason;
import io.github.newsprint.v1.ItemError;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Says why a call was refused, or one article of a batch or stream. */
public final class NewsprintException extends RuntimeException {
  /** What the names of reasons begin with in the contract, but not in an error. */
  private static final String REASON_PREFIX = "ERROR_REASON_";

  /** A field at fault, and what is wrong with it. */
  public record FieldViolation(String field, String description) {}

  private final Status.Code code;
  private final ErrorReason reason;
  private final List<FieldViolation> fields;
  private final Duration retryAfter;

  private NewsprintException(com.google.rpc.Status status, Throwable cause) {
    super(describe(status), cause);
    code = codeOf(status);
    reason = reasonOf(status);
    fields =
        detail(status, BadRequest.class).map(BadRequest::getFieldViolationsList).stream()
            .flatMap(List::stream)
            .map(violation -> new FieldViolation(violation.getField(), violation.getDescription()))
            .toList();
    retryAfter =
        detail(status, RetryInfo.class)
            .map(RetryInfo::getRetryDelay)
            .map(delay -> Duration.ofSeconds(delay.getSeconds(), delay.getNanos()))
            .orElse(null);
  }

  /** The error of a call that was made through a stub, from what the stub threw. */
  public static NewsprintException of(Throwable thrown) {
    return new NewsprintException(StatusProto.fromStatusAndTrailers(
        Status.fromThrowable(thrown), Status.trailersFromThrowable(thrown)), thrown);
  }

  /** The error of one article of several. */
  public static NewsprintException of(ItemError item) {
    com.google.rpc.Status status =
        com.google.rpc.Status.newBuilder()
            .setCode(item.getCode())
            .setMessage(item.getMessage())
            .addAllDetails(item.getDetailsList())
            .build();
    return new NewsprintException(status, null);
  }

  /** The canonical code. */
  public Status.Code code() {
    return code;
  }

  /**
   * Why, and what to do. UNSPECIFIED if the server did not say, as when it cannot be reached, or if
   * its reason is newer than this client; go by the code then.
   */
  public ErrorReason reason() {
    return reason;
  }

  /** Every field at fault. */
  public List<FieldViolation> fields() {
    return fields;
  }

  /** When trying again makes sense; empty if it does not or the server did not say. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** Whether the same call may succeed later. */
  public boolean isPassing() {
    return code == Status.Code.UNAVAILABLE || code == Status.Code.RESOURCE_EXHAUSTED;
  }

  private static String describe(com.google.rpc.Status status) {
    String reason = detail(status, ErrorInfo.class).map(info -> ", " + info.getReason()).orElse("");
    return status.getMessage() + " (" + codeOf(status) + reason + ")";
  }

  private static Status.Code codeOf(com.google.rpc.Status status) {
    return Status.fromCodeValue(status.getCode()).getCode();
  }

  private static ErrorReason reasonOf(com.google.rpc.Status status) {
    String name = REASON_PREFIX + detail(status, ErrorInfo.class).map(ErrorInfo::getReason).orElse("");
    return Arrays.stream(ErrorReason.values())
        .filter(reason -> reason.name().equals(name))
        .findFirst()
        .orElse(ErrorReason.ERROR_REASON_UNSPECIFIED);
  }

  private static <T extends Message> Optional<T> detail(
      com.google.rpc.Status status, Class<T> type) {
    for (Any detail : status.getDetailsList()) {
      if (detail.is(type)) {
        try {
          return Optional.of(detail.unpack(type));
        } catch (InvalidProtocolBufferException damaged) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}

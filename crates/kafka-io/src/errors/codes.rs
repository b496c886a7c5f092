//! Kafka's error codes, sorted by what they mean for us: the one place that decides. Those below zero are librdkafka's
//! own (src/rdkafka.h), the others the protocol's.
//!
//! What librdkafka tells while a partition is fetched may stand for records that it leaves out (a damaged batch), so
//! only what surely comes again is waited out.

use rdkafka::error::RDKafkaErrorCode::{self as Code, *};

use super::Meaning::{self, Full, Mend, Never, NewClient, RecordsGone, Retry, TooLarge};

/// A code and its meaning at each of what we do.
pub type Row = (Code, /* produce */ Meaning, /* fetch */ Meaning, /* commit */ Meaning);

const ACCESS: Meaning = Mend("grant the rights on topic and group that docs/security.md lists");
const LOGIN: Meaning = Mend("check kafka.security.* and the broker's users");
const TOPIC: Meaning = Mend("the topic is gone; see docs/troubleshooting.md before anybody makes it again");
const VERSION: Meaning = Mend("the broker is too old or lacks a feature; use Kafka 2.4 or newer");
const SETTINGS: Meaning =
    Mend("check group.* against the brokers' group settings, and that no other program uses the group");
const INSTANCE: Meaning = Mend("another process has the same group.instance_id; give each its own");
const DAMAGED: Meaning = Mend(
    "the broker's log holds a damaged batch; look at its disk, and let a replica without the damage lead",
);

/// Each code once.
#[rustfmt::skip]
pub const CODES: &[Row] = &[
    // away, starting, moving: the client finds its way by itself
    (BrokerTransportFailure,        Retry,     Retry,       NewClient),
    (AllBrokersDown,                Retry,     Retry,       NewClient),
    (Resolve,                       Retry,     Retry,       NewClient),
    (OperationTimedOut,             Retry,     Retry,       NewClient),
    (TimedOutQueue,                 Retry,     Retry,       NewClient),
    (RequestTimedOut,               Retry,     Retry,       NewClient),
    (NetworkException,              Retry,     Retry,       NewClient),
    (BrokerNotAvailable,            Retry,     Retry,       NewClient),
    (BrokerDestroy,                 Retry,     Retry,       NewClient),
    (DestroyBroker,                 Retry,     Retry,       NewClient),
    (UnknownBroker,                 Retry,     Retry,       NewClient),
    (NodeUpdate,                    Retry,     Retry,       NewClient),
    (RebootstrapRequired,           Retry,     Retry,       NewClient),
    (Code::Retry,                   Retry,     Retry,       NewClient),
    (WaitCache,                     Retry,     Retry,       NewClient),
    (InProgress,                    Retry,     Retry,       NewClient),
    (PreviousInProgress,            Retry,     Retry,       NewClient),
    (Interrupted,                   Retry,     Retry,       NewClient),
    (Unknown,                       Retry,     Retry,       NewClient),
    (StaleControllerEpoch,          Retry,     Retry,       NewClient),
    (StaleBrokerEpoch,              Retry,     Retry,       NewClient),
    (ListenerNotFound,              Retry,     Retry,       NewClient),
    (ThrottlingQuotaExceeded,       Retry,     Retry,       NewClient),
    (KafkaStorageError,             Retry,     Retry,       NewClient),
    (LeaderNotAvailable,            Retry,     Retry,       NewClient),
    (NotLeaderForPartition,         Retry,     Retry,       NewClient),
    (ReplicaNotAvailable,           Retry,     Retry,       NewClient),
    (PreferredLeaderNotAvailable,   Retry,     Retry,       NewClient),
    (EligibleLeadersNotAvailable,   Retry,     Retry,       NewClient),
    (FencedLeaderEpoch,             Retry,     Retry,       NewClient),
    (UnknownLeaderEpoch,            Retry,     Retry,       NewClient),
    (UnknownTopicId,                Retry,     Retry,       NewClient),
    (ReassignmentInProgress,        Retry,     Retry,       NewClient),
    // a login may be changed while we run; readiness says so meanwhile
    (Authentication,                LOGIN,     Retry,       NewClient),
    (SSL,                           LOGIN,     Retry,       NewClient),
    (SaslAuthenticationFailed,      LOGIN,     Retry,       NewClient),
    // what a producer hears
    (QueueFull,                     Full,      Retry,       NewClient),
    (MessageTimedOut,               Retry,     Never,       Never),
    (ISRInsufficient,               Retry,     Never,       Never),
    (NotEnoughReplicas,             Retry,     Never,       Never),
    (NotEnoughReplicasAfterAppend,  Retry,     Never,       Never),
    (PurgeQueue,                    Retry,     Never,       Never),
    (PurgeInflight,                 Retry,     Never,       Never),
    (InvalidDifferentRecord,        Retry,     Never,       Never),
    (DuplicateSequenceNumber,       Retry,     Never,       Never),
    (MessageSizeTooLarge,           TooLarge,  DAMAGED,     Never),
    (InvalidMessageSize,            TooLarge,  DAMAGED,     Never),
    (MessageBatchTooLarge,          Mend("raise the topic's segment.bytes above max.message.bytes"), Never, Never),
    (InvalidRecord,                 Mend("the topic must be as docs/direct-door.md says: not compacted, LogAppendTime"), Never, Never),
    (InvalidTimestamp,              Mend("set the topic's message.timestamp.type to LogAppendTime"), Never, Never),
    (InvalidRequiredAcks,           Mend("do not set acks under kafka.properties"), Never, Never),
    (PolicyViolation,               Mend("a policy of the broker refuses the record; ask who runs it"), Never, Never),
    (UnsupportedCompressionType,    VERSION,   VERSION,     Never),
    (OutOfOrderSequenceNumber,      NewClient, Never,       Never),
    (UnknownProducerId,             NewClient, Never,       Never),
    (InvalidProducerEpoch,          NewClient, Never,       Never),
    (ProducerFenced,                NewClient, Never,       Never),
    (GaplessGuarantee,              NewClient, Never,       Never),
    // a client that is used up
    (Fatal,                         NewClient, NewClient,   NewClient),
    (Fenced,                        NewClient, NewClient,   NewClient),
    (State,                         NewClient, NewClient,   NewClient),
    (CriticalSystemResource,        NewClient, NewClient,   NewClient),
    (PollExceeded,                  Never,     NewClient,   NewClient),
    (AssignmentLost,                Never,     NewClient,   NewClient),
    (FencedMemberEpoch,             Never,     NewClient,   NewClient),
    (StaleMemberEpoch,              Never,     NewClient,   NewClient),
    // the group; the client joins again by itself. What became of a commit is known only where the group itself refused
    // it: it was being shared out
    (WaitingForCoordinator,         Never,     Retry,       NewClient),
    (CoordinatorLoadInProgress,     Never,     Retry,       NewClient),
    (CoordinatorNotAvailable,       Never,     Retry,       NewClient),
    (NotCoordinator,                Never,     Retry,       NewClient),
    (IllegalGeneration,             Never,     Retry,       Retry),
    (UnknownMemberId,               Never,     Retry,       NewClient),
    (MemberIdRequired,              Never,     Retry,       NewClient),
    (RebalanceInProgress,           Never,     Retry,       Retry),
    (UnstableOffsetCommit,          Never,     Retry,       NewClient),
    (NoOffset,                      Never,     Retry,       NewClient),
    (InconsistentGroupProtocol,     Never,     SETTINGS,    SETTINGS),
    (InvalidGroupId,                Never,     SETTINGS,    SETTINGS),
    (InvalidSessionTimeout,         Never,     SETTINGS,    SETTINGS),
    (GroupMaxSizeReached,           Never,     SETTINGS,    SETTINGS),
    (UnsupportedAssignor,           Never,     SETTINGS,    SETTINGS),
    (FencedInstanceId,              Never,     INSTANCE,    INSTANCE),
    (UnreleasedInstanceId,          Never,     INSTANCE,    INSTANCE),
    (OffsetMetadataTooLarge,        Never,     Never,       Mend("set offset.metadata.max.bytes of the brokers to 4096 or more")),
    (InvalidCommitOffsetSize,       Never,     Never,       Mend("set offset.metadata.max.bytes of the brokers to 4096 or more")),
    // the log
    (OffsetNotAvailable,            Never,     Retry,       Never),
    (FetchSessionIdNotFound,        Never,     Retry,       Never),
    (InvalidFetchSessionEpoch,      Never,     Retry,       Never),
    (OffsetOutOfRange,              Never,     RecordsGone, Never),
    (AutoOffsetReset,               Never,     RecordsGone, Never),
    (LogTruncation,                 Never,     RecordsGone, Never),
    (InvalidMessage,                Retry,     DAMAGED,     Never),
    (BadMessage,                    Retry,     DAMAGED,     Never),
    (BadCompression,                Retry,     DAMAGED,     Never),
    (Underflow,                     Retry,     DAMAGED,     Never),
    (NotImplemented,                VERSION,   VERSION,     VERSION),
    // what a person has to mend
    (UnknownTopicOrPartition,       TOPIC,     TOPIC,       TOPIC),
    (UnknownTopic,                  TOPIC,     TOPIC,       TOPIC),
    (UnknownPartition,              TOPIC,     TOPIC,       TOPIC),
    (InvalidTopic,                  TOPIC,     TOPIC,       TOPIC),
    (TopicAuthorizationFailed,      ACCESS,    ACCESS,      ACCESS),
    (GroupAuthorizationFailed,      Never,     ACCESS,      ACCESS),
    (ClusterAuthorizationFailed,    ACCESS,    ACCESS,      ACCESS),
    (UnsupportedSASLMechanism,      LOGIN,     LOGIN,       LOGIN),
    (IllegalSASLState,              LOGIN,     LOGIN,       LOGIN),
    (SecurityDisabled,              LOGIN,     LOGIN,       LOGIN),
    (UnsupportedVersion,            VERSION,   VERSION,     VERSION),
    (UnsupportedFeature,            VERSION,   VERSION,     VERSION),
    (UnsupportedForMessageFormat,   VERSION,   VERSION,     VERSION),
];

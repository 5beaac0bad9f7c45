/** At and under this a peer is ignored, hung up on and denied. */
export const graylistScore = -80;

export const scoreThresholds = { gossipThreshold: -10, publishThreshold: -50, graylistThreshold: graylistScore };

/**
 * How a topic counts. One rejected message takes a peer out of favour for seconds (-20), two in the same second graylist it;
 * the good standing it can have collected before is at most 10. Penalties for delivering too little are off: a topic may be quiet for minutes.
 */
export const topicScore = {
  topicWeight: 1,
  timeInMeshWeight: 0.001,
  timeInMeshQuantum: 1000,
  timeInMeshCap: 3600,
  firstMessageDeliveriesWeight: 0.5,
  firstMessageDeliveriesDecay: 0.9,
  firstMessageDeliveriesCap: 20,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 100,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -20,
  invalidMessageDeliveriesDecay: 0.9,
};

/** How a peer counts beside its topics. On loopback all peers have one address, so sharing one is no sign of anything there. */
export const peerScore = (loopback: boolean) => ({
  topicScoreCap: 10,
  IPColocationFactorWeight: loopback ? 0 : -5,
  IPColocationFactorThreshold: 5,
  IPColocationFactorWhitelist: new Set(["127.0.0.1", "::1"]),
  behaviourPenaltyWeight: -10,
  // An honest peer under load may miss a few promises to deliver. One that comes back after a restart asks for its place in each of some
  // twenty topics, also where it was sent away a moment ago, which it has forgotten and which counts twice.
  behaviourPenaltyThreshold: 40,
  behaviourPenaltyDecay: 0.9,
});

"""ModelArts' error codes, from its public API reference (appendix, Error Codes), and what each means for us.

A code that is not here is judged by its HTTP status; tests/doubles/records/modelarts/errors.yaml has them all.
"""

from __future__ import annotations

from mindlift.cloud.codes import EVERY, Code, passing

NO_SUCH_JOB = "ModelArts.2775"
HAS_ENDED = "ModelArts.2796"
OVER_QUOTA = "ModelArts.2815"
NOT_READY = "ModelArts.2776"
LOG_NOT_THERE = {  # whether it never will be
    NOT_READY: False,
    "ModelArts.2818": False,
    "ModelArts.2819": True,
    "ModelArts.2820": True,
    "ModelArts.2822": True,
}

LOOK = "`plan` shows the request"
SUPPORT = "ask the service's support"
MISFIT = "this version of the tool does not fit the service"
LATER = "the service has a fault; try again later"
RIGHTS = "the account needs the right to do this; look at its policies"
KEYS = "look at the access key, the secret key and the project"
AGENCY = "authorise ModelArts to use OBS (console: Settings, Authorization)"
SMALLER = "keep data out of the repository"
IMAGE = "look at image: organisation/name:tag, in SWR of the job's region"
POOL = "look at pool_id and the state of that pool"
LOG_WAIT = "wait until the job has written something"


def fault(name: str) -> Code:
    """An error of the service itself: it may pass, and a creation may have been carried out."""
    return Code(name, LATER, EVERY, leaves_doubt=True)


CODES = {
    "ModelArts.0010": fault("Internal error"),
    "ModelArts.0101": Code("Invalid Argument", LOOK),
    "ModelArts.0102": Code("The workspace does not exist", "look at workspace_id; '0' is the default one"),
    "ModelArts.0104": Code("Parameter error", LOOK),
    "ModelArts.0107": Code("The values of the request parameters are invalid", LOOK),
    "ModelArts.0108": Code("You are not authorized to perform the operation", RIGHTS),
    "ModelArts.0112": Code(
        "Policy doesn't allow it to be performed", "the account needs the right to use workspace_id"
    ),
    "ModelArts.0116": Code(
        "The expected value exceeds the quota limit", "ask the administrator for more quota"
    ),
    "ModelArts.0118": Code("QuotaInsufficient", "wait for a job to end, or ask for more quota"),
    "ModelArts.0203": Code("Invalid token", KEYS),
    "ModelArts.0204": Code("Token must contain projectId info", KEYS),
    "ModelArts.0206": Code("Invalid AK/SK", KEYS),
    "ModelArts.0210": Code("Invalid project ID", "look at project_id"),
    "ModelArts.0428": Code("The user authorization does not exist", AGENCY),
    "ModelArts.0429": Code("The authorization does not exist", AGENCY),
    "ModelArts.1002": Code("OBS operation failed", "check whether OBS works in the region, then try again"),
    "ModelArts.1003": Code(
        "The user account is abnormal or may not use OBS", "look at the account's state and its rights on OBS"
    ),
    "ModelArts.2751": Code("DuplicateTrainingJobName", "choose another name, or leave name out"),
    "ModelArts.2753": Code(
        "InputsOutputsMessageError",
        "data_url and train_url are folders in a bucket of this region, and no other job may write to train_url",
    ),
    "ModelArts.2757": Code("CodeDirError", "look at code_url"),
    "ModelArts.2758": Code("BootFileDirError", "look at boot_file"),
    "ModelArts.2759": Code("TooManyCodeFiles", SMALLER),
    "ModelArts.2760": Code("CodeFolderTooDeep", SMALLER),
    "ModelArts.2761": Code("CodeFilesSizeToolarge", SMALLER),
    "ModelArts.2763": Code("DoNotHaveFlavor", "the flavor does not fit the engine; see selfcheck"),
    "ModelArts.2764": Code("QueryParamsError", MISFIT),
    "ModelArts.2765": Code("StringParameterError", LOOK),
    "ModelArts.2767": Code(
        "ParameterKeyRepeat",
        "give each option once: none of recipe may repeat net, dataset, pretrained or a place",
    ),
    "ModelArts.2773": Code(
        "GetObsObjectContentError", "look at the bucket's policy and at what ModelArts' agency may read"
    ),
    NO_SUCH_JOB: Code("TrainingJobNotFound", "`list` shows your jobs"),
    NOT_READY: Code("NotReadyToFetchLog", LOG_WAIT, passing("log")),
    "ModelArts.2780": Code("EngineNotFound", "selfcheck lists the engines"),
    "ModelArts.2781": Code("FlavorNotFound", "selfcheck lists the flavors"),
    "ModelArts.2784": Code("InvalidToken", KEYS),
    "ModelArts.2785": Code("AuthorizationNotFound", AGENCY),
    "ModelArts.2786": Code(
        "TokenProjectIDNotMatch", "look at project_id: these keys belong to another project"
    ),
    "ModelArts.2787": Code("InvalidJsonBody", LOOK),
    "ModelArts.2788": Code("InvalidParam", f"a value of the request is not valid; {LOOK}"),
    "ModelArts.2789": Code("UnsupportedFilterBy", MISFIT),
    "ModelArts.2790": Code("UnsupportedSortBy", MISFIT),
    "ModelArts.2791": Code("InvalidObsPath", "paths are obs://bucket/folder/"),
    "ModelArts.2793": Code("FlavorOutOfRange", "look at nodes: selfcheck lists how many a flavor gives"),
    HAS_ENDED: Code("NotAllowedToTerminate", "the job is not in a phase for that; see status"),
    "ModelArts.2799": Code("TooManyRequests", "", EVERY),
    "ModelArts.2802": Code("InvalidCodeDir", "look at code_url: a folder of a bucket of this region"),
    "ModelArts.2803": Code("MethodNotAllowed", "look at endpoint"),
    "ModelArts.2806": Code("MustHaveCmdAndImage", "set image, or engine for a preset one"),
    "ModelArts.2807": Code("UnsupportedConditionKey", MISFIT),
    "ModelArts.2808": Code(
        "UnsupportedConditionOperator", "this version of the tool does not fit the service"
    ),
    "ModelArts.2809": Code("UnsupportedConditionValue", MISFIT),
    "ModelArts.2810": Code("SWRQueryImageInfoError", IMAGE),
    "ModelArts.2811": Code("SWRCreateShareError", IMAGE),
    "ModelArts.2812": Code("UnsupportedActionType", MISFIT),
    "ModelArts.2814": Code("AlgorithmNotMatch", LOOK),
    "ModelArts.2815": Code("ExceedQuotaLimit", "wait for a job to end, or ask for more quota"),
    "ModelArts.2816": Code("ParamRangeError", f"a value of the request is too large; {LOOK}"),
    "ModelArts.2818": Code("LogFileNotGenerated", LOG_WAIT, passing("log")),
    "ModelArts.2819": Code("LogFileHasCleared", "logs are kept for 30 days; look in log_url"),
    "ModelArts.2820": Code("LogPathNotFound", "look in log_url"),
    "ModelArts.2822": Code("LogExportPathNotSet", "set log_url for the next job"),
    "ModelArts.2825": Code("ParamTypeError", f"a value of the request has another type; {LOOK}"),
    "ModelArts.2832": Code(
        "EngineNeedUpgrade", "that engine is no longer offered: choose another; selfcheck lists them"
    ),
    "ModelArts.2833": Code(
        "ExceedeFreeFlavorQuota", "a free flavor has few jobs: wait for one to end, or choose another flavor"
    ),
    "ModelArts.2834": Code("UnsupportedRemoteDataType", "data_url has to be a folder of OBS"),
    "ModelArts.2835": Code(
        "GetSizeOfChannelTimeOut", "data_url holds too many files to be counted: pack them into archives"
    ),
    "ModelArts.2836": Code("PathNotFound", "look at endpoint"),
    "ModelArts.2837": Code("FrozenAccount", "the account is restricted or frozen: look at its balance"),
    "ModelArts.2838": Code("WorkspacePolicyLimit", RIGHTS),
    "ModelArts.2840": Code(
        "UnsupportedFlavor", "this flavor does not take the engine: choose another flavor or engine"
    ),
    "ModelArts.2843": Code("QueryVPCEPFailed", SUPPORT),
    "ModelArts.2844": Code("ChangeVPCEPPolicyFailed", SUPPORT),
    "ModelArts.2845": Code("ImageSizeExceeded", "make the image smaller"),
    "ModelArts.2854": Code("UnsupportedRemoteType", "data_url and train_url have to be folders of OBS"),
    "ModelArts.2855": Code("RunUserDeny", "outside of a dedicated pool an image may not run as this user"),
    "ModelArts.2857": Code("InvalidLocalCodeDir", LOOK),
    "ModelArts.2858": Code("UnsupportedOperation", "the service does not do that for this job"),
    "ModelArts.2859": Code("InvalidWorkingDir", LOOK),
    "ModelArts.2878": Code(
        "JobStatusChanged", "the job was changing its phase: try again", passing("cancel")
    ),
    "ModelArts.2886": Code("NotTrainingPool", POOL),
    "ModelArts.2887": Code("PoolNotRunning", POOL),
    "ModelArts.2889": Code("GetOsPoolFailed", POOL),
    "ModelArts.2890": Code("PoolNotFound", POOL),
    "ModelArts.2891": Code("WorkspaceSetError", "look at workspace_id"),
    "ModelArts.2950": fault("Unknown"),
    "ModelArts.2952": fault("ExtServiceDB"),
    "ModelArts.2953": fault("ExtServiceIAM"),
    "ModelArts.2954": fault("ExtServiceWorkspace"),
    "ModelArts.2955": fault("ExtServiceAOM"),
    "ModelArts.2958": fault("ExtServiceOBS"),
    "ModelArts.2959": fault("ExtServiceMAOS"),
    "APIGW.0101": Code("The API does not exist", "look at endpoint and region"),
    "APIGW.0201": Code("Request entity too large", "the request is larger than the service takes"),
    "APIGW.0202": fault("Backend unavailable"),
    "APIGW.0203": fault("Backend timeout"),
    "APIGW.0301": Code("Incorrect IAM authentication information", KEYS),
    "APIGW.0302": Code("The IAM user is not authorized to access the API", RIGHTS),
    "APIGW.0307": Code("The token must be updated", KEYS),
    "APIGW.0308": Code("The throttling threshold has been reached", "", EVERY),
}
